#include "runtime/image/user.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "archive.h"
#include "base/unique_fd.h"

using namespace knarr;
using namespace knarr::runtime;

namespace {

constexpr const char* kPasswd =
    "root:x:0:0:root:/root:/bin/sh\n# comment\nbroken line\n"
    "app:x:1000:1001:App:/home/app:/bin/sh\n1234:x:0:0::/odd:/bin/sh\n"
    "minus:x:4294967295:0::/:/bin/sh\nwide:x:5:2147483648::/:/bin/sh\n";
constexpr const char* kGroup =
    "root:x:0:\nweb:x:2000:other,app\nwheel:x:10:app\nbad\nnum:x:x:app\n"
    "77:x:0:\nminus:x:4294967295:\n";

std::string show(const Result<Identity>& r) {
  if (!r.ok()) return r.error().message;
  std::string out = std::to_string(r->uid) + ":" + std::to_string(r->gid) + " [";
  for (uint32_t g : r->groups) out += std::to_string(g) + " ";
  return out + "] " + r->home;
}

std::string resolve(const std::string& user, SecurityContext security = {}) {
  return show(resolve_identity(kPasswd, kGroup, user, security));
}

}  // namespace

TEST_CASE("users of images") {
  CHECK(resolve("") == "0:0 [0 ] /root");
  CHECK(resolve("app") == "1000:1001 [10 1001 2000 ] /home/app");
  CHECK(resolve("1000") == "1000:1001 [10 1001 2000 ] /home/app");
  CHECK(resolve("4711") == "4711:0 [0 ] /");
  CHECK(resolve("app:web") == "1000:2000 [10 2000 ] /home/app");
  CHECK(resolve("4711:4712") == "4711:4712 [4712 ] /");
  CHECK(resolve("nobody") == "unable to find user nobody: no matching entries in passwd file");
  CHECK(resolve("app:none") == "unable to find group none: no matching entries in group file");
}

TEST_CASE("a number is no name, and none beyond what the kernel keeps") {
  const std::string range = "uids and gids must be in range 0-2147483647";
  CHECK(resolve("1234") == "1234:0 [0 ] /");
  CHECK(resolve("1000:77") == "1000:77 [10 77 2000 ] /home/app");
  CHECK(resolve("2147483647") == "2147483647:0 [0 ] /");
  CHECK(resolve("2147483648") == range);
  CHECK(resolve("4294967295") == range);
  CHECK(resolve("4294967296") == range);
  CHECK(resolve("99999999999999999999") == range);
  CHECK(resolve("1000:4294967295") == range);
  CHECK(resolve("minus") == "unable to find user minus: no matching entries in passwd file");
  CHECK(resolve("wide") == "unable to find user wide: no matching entries in passwd file");
  CHECK(resolve("app:minus") == "unable to find group minus: no matching entries in group file");
  SecurityContext security;
  security.supplemental_groups = {int64_t{1} << 32};
  CHECK(resolve("app", security) == range);
}

TEST_CASE("the security context wins over the image") {
  SecurityContext security;
  security.run_as_user = 1000;
  CHECK(resolve("root", security) == "1000:1001 [10 1001 2000 ] /home/app");
  security.run_as_group = 7;
  security.supplemental_groups = {5, 7};
  CHECK(resolve("root", security) == "1000:7 [5 7 10 2000 ] /home/app");
  security.strict_supplemental_groups = true;
  CHECK(resolve("root", security) == "1000:7 [5 7 ] /home/app");
}

TEST_CASE("look-ups never leave the root file system") {
  TempDir dir;
  REQUIRE(mkdir((dir / "root").c_str(), 0755) == 0);
  REQUIRE(mkdir((dir / "root/etc").c_str(), 0755) == 0);
  write_test_file(dir / "passwd", "evil:x:666:666::/:\n");
  REQUIRE(symlink((dir / "passwd").c_str(), (dir / "root/etc/passwd").c_str()) == 0);
  REQUIRE(symlink("../../../../../../../etc/hostname", (dir / "root/etc/group").c_str()) == 0);
  base::UniqueFd fd(open((dir / "root").c_str(), O_RDONLY | O_DIRECTORY));
  CHECK(!resolve_identity_in(fd.get(), "evil", {}).ok());
  CHECK(read_file_in_root(fd.get(), "/etc/group", 100).error().code == Code::kNotFound);
  REQUIRE(unlink((dir / "root/etc/passwd").c_str()) == 0);
  REQUIRE(mkfifo((dir / "root/etc/passwd").c_str(), 0600) == 0);
  CHECK(!read_file_in_root(fd.get(), "/etc/passwd", 100).ok());
  write_test_file(dir / "root/etc/real", std::string(200, 'x'));
  CHECK(!read_file_in_root(fd.get(), "/etc/real", 100).ok());
  CHECK(read_file_in_root(fd.get(), "/etc/real", 200)->size() == 200);
}
