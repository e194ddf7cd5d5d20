// DNS messages (RFC 1035, 2782, 6891) to bytes and back, safe with hostile bytes: lengths are
// checked, compression pointers only go backwards. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "knarr/result.h"

namespace knarr::net::dns {

enum Type : uint16_t {
  kA = 1,
  kNs = 2,
  kCname = 5,
  kSoa = 6,
  kPtr = 12,
  kMx = 15,
  kTxt = 16,
  kAaaa = 28,
  kSrv = 33,
  kOpt = 41,
  kAny = 255
};
enum Rcode : uint8_t {
  kNoError = 0,
  kFormErr = 1,
  kServFail = 2,
  kNxDomain = 3,
  kNotImp = 4,
  kRefused = 5,
  kBadVers = 16
};
inline constexpr uint16_t kClassIn = 1;

// Names are text without the last dot ("" is the root), letters as they came; a '.' or '\' within a
// label is written "\." "\\", bytes that do not print "\DDD".
struct Question {
  std::string name;
  uint16_t type = kA;
  uint16_t klass = kClassIn;
};

struct Address {
  std::string text;
};  // A and AAAA: "10.0.0.1", "fd00::1"
struct Name {
  std::string name;
};  // NS, CNAME, PTR
struct Soa {
  std::string primary, mailbox;
  uint32_t serial = 0, refresh = 0, retry = 0, expire = 0, minimum = 0;
};
struct Srv {
  uint16_t priority = 0, weight = 0, port = 0;
  std::string target;
};
struct Txt {
  std::vector<std::string> strings;
};  // each at most 255 bytes
struct Raw {
  std::string bytes;
};  // any other type, as it came

struct Record {
  std::string name;
  uint16_t type = kA;
  uint16_t klass = kClassIn;
  uint32_t ttl_seconds = 0;
  std::variant<Address, Name, Soa, Srv, Txt, Raw> data;
};

struct Edns {
  uint16_t udp_size = 1232;
  uint8_t version = 0;
  bool dnssec_ok = false;
  std::string options;  // as they came
};

struct Message {
  uint16_t id = 0;
  bool response = false;
  uint8_t opcode = 0;
  bool authoritative = false;
  bool truncated = false;
  bool recursion_desired = false;
  bool recursion_available = false;
  bool authentic_data = false;
  bool checking_disabled = false;
  uint8_t rcode = kNoError;  // with EDNS the upper bits are in the OPT record: all 8 bits are here
  std::vector<Question> questions;
  std::vector<Record> answers, authorities, additionals;  // the OPT record is not among them
  bool has_edns = false;
  Edns edns;
};

// kBadRequest for what is not a whole message.
Result<Message> parse(std::string_view bytes);

// At most limit_bytes (512 or the EDNS size for UDP, 65535 for TCP): records that do not fit are
// left out, whole, and TC is set when an answer or authority was. Names are compressed.
std::string write(const Message& message, size_t limit_bytes = 65535);

// The answer's frame: id, question, RD, opcode of the query; QR set; EDNS when the query had it.
Message reply_to(const Message& query);
// What the querier can take in a datagram.
size_t udp_limit(const Message& query);

// "10.1.2.3" -> "3.2.1.10.in-addr.arpa"; also IPv6. Empty when the text is no address.
std::string reverse_name(std::string_view ip);
// The other way; empty when it is no whole reverse name.
std::string reverse_address(std::string_view name);

}  // namespace knarr::net::dns
