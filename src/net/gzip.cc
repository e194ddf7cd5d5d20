#include "net/gzip.h"

#include <zlib.h>

#include "knarr/check.h"

namespace knarr::net {

namespace {
constexpr int kGzipWindow = 15 + 16;  // 16: the gzip format
}

bool accepts_gzip(const Headers& headers) {
  for (std::string_view list : headers.all("accept-encoding")) {
    while (!list.empty()) {
      size_t comma = list.find(',');
      std::string_view item = list.substr(0, comma);
      list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
      while (!item.empty() && item.front() == ' ') item.remove_prefix(1);
      std::string_view name = item.substr(0, item.find_first_of("; "));
      if (!equal_ignoring_case(name, "gzip")) continue;
      size_t q = item.find("q=");
      if (q == std::string_view::npos) return true;
      return item.substr(q + 2).find_first_of("123456789") != std::string_view::npos;
    }
  }
  return false;
}

struct Gzip::State {
  z_stream z{};
};

Gzip::Gzip(int level) : state_(std::make_unique<State>()) {
  CHECK(deflateInit2(&state_->z, level, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) == Z_OK);
}

Gzip::~Gzip() { deflateEnd(&state_->z); }

std::string Gzip::add(const Buffers& piece, bool last) {
  z_stream& z = state_->z;
  std::string out(deflateBound(&z, piece.size()), '\0');
  size_t filled = 0;
  auto run = [&](int flush) {
    for (;;) {
      z.next_out = reinterpret_cast<Bytef*>(out.data() + filled);
      z.avail_out = static_cast<uInt>(out.size() - filled);
      int rc = deflate(&z, flush);
      CHECK(rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR);
      filled = out.size() - z.avail_out;
      if (z.avail_out > 0) return;
      // Earlier pieces may come out with this one, beyond its own bound.
      out.resize(out.size() * 2);
    }
  };
  for (const Slice& slice : piece) {
    z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(slice.view().data()));
    z.avail_in = static_cast<uInt>(slice.size());
    run(Z_NO_FLUSH);
  }
  if (last) run(Z_FINISH);
  out.resize(filled);
  return out;
}

std::string gzip(const Buffers& body, int level) { return Gzip(level).add(body, true); }

Result<std::string> gunzip(std::string_view bytes, size_t limit_bytes) {
  z_stream z{};
  CHECK(inflateInit2(&z, kGzipWindow) == Z_OK);
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = static_cast<uInt>(bytes.size());
  std::string out;
  int rc = Z_OK;
  while (rc == Z_OK && out.size() <= limit_bytes) {
    char part[16384];
    z.next_out = reinterpret_cast<Bytef*>(part);
    z.avail_out = sizeof part;
    rc = inflate(&z, Z_NO_FLUSH);
    out.append(part, sizeof part - z.avail_out);
  }
  inflateEnd(&z);
  if (out.size() > limit_bytes) {
    return make_error(Code::kRequestEntityTooLarge, "gzip: too large when inflated");
  }
  if (rc != Z_STREAM_END) return make_error(Code::kBadRequest, "gzip: damaged data");
  return out;
}

}  // namespace knarr::net
