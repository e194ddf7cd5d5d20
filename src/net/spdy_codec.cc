// SPDY/3.1 frames. DATA is passed on as it comes, in parts; control frames are gathered whole.
#include <zlib.h>

#include "knarr/check.h"
#include "net/spdy.h"
#include "net/spdy_dictionary.h"

namespace knarr::net {

namespace {

constexpr size_t kControlLimit = 256 * 1024;  // of a control frame
constexpr size_t kHeaderLimit = 256 * 1024;   // of a header block, inflated
constexpr size_t kFieldOverhead = 32;         // what a field counts beside its text
constexpr uint16_t kVersion = 3;

enum Type : uint16_t {
  kSynStream = 1,
  kSynReply = 2,
  kRstStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoaway = 7,
  kHeaders = 8,
  kWindowUpdate = 9
};

Error bad(const char* why) { return make_error(Code::kBadRequest, std::string("spdy: ") + why); }

uint32_t get32(std::string_view b, size_t at) {
  uint32_t v = 0;
  for (size_t i = 0; i < 4; i++) v = v << 8 | static_cast<unsigned char>(b[at + i]);
  return v;
}

void put32(std::string& out, uint32_t v) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(v >> shift);
}

}  // namespace

struct SpdyCodec::Impl {
  z_stream in{}, out{};
  std::string input;
  uint32_t data_stream = 0;  // of the DATA frame that is being read
  uint32_t data_left = 0;
  bool data_fin = false;

  Result<Headers> inflate_headers(std::string_view block);
  std::string deflate_headers(const Headers& headers);
  Result<SpdyFrame> control(uint16_t type, uint8_t flags, std::string_view body);
};

Result<Headers> SpdyCodec::Impl::inflate_headers(std::string_view block) {
  std::string text;
  in.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(block.data()));
  in.avail_in = static_cast<uInt>(block.size());
  while (in.avail_in > 0) {
    char part[4096];
    in.next_out = reinterpret_cast<Bytef*>(part);
    in.avail_out = sizeof part;
    int rc = inflate(&in, Z_SYNC_FLUSH);
    if (rc == Z_NEED_DICT) {
      const std::string& d = spdy_dictionary();
      rc = inflateSetDictionary(&in, reinterpret_cast<const Bytef*>(d.data()),
                                static_cast<uInt>(d.size()));
    }
    text.append(part, sizeof part - in.avail_out);
    if (rc != Z_OK && !(rc == Z_BUF_ERROR && in.avail_in == 0)) return bad("damaged header block");
    if (text.size() > kHeaderLimit) return bad("header block too large");
  }
  // What the last round could not write.
  while (in.avail_out == 0) {
    char part[4096];
    in.next_out = reinterpret_cast<Bytef*>(part);
    in.avail_out = sizeof part;
    int rc = inflate(&in, Z_SYNC_FLUSH);
    text.append(part, sizeof part - in.avail_out);
    if (rc != Z_OK) break;
    if (text.size() > kHeaderLimit) return bad("header block too large");
  }
  Headers headers;
  size_t at = 4;
  if (text.size() < 4) return bad("header block is cut");
  for (uint32_t count = get32(text, 0); count > 0; count--) {
    std::string_view pair[2];
    for (std::string_view& part : pair) {
      if (text.size() - at < 4) return bad("header block is cut");
      uint32_t size = get32(text, at);
      at += 4;
      if (text.size() - at < size) return bad("header block is cut");
      part = std::string_view(text).substr(at, size);
      at += size;
    }
    // Several values of one name are parted by NULs.
    while (true) {
      size_t nul = pair[1].find('\0');
      headers.add(pair[0], pair[1].substr(0, nul));
      // The name counts once a value: a short block can name very much.
      if (headers.bytes() + headers.size() * kFieldOverhead > kHeaderLimit) {
        return bad("header block too large");
      }
      if (nul == std::string_view::npos) break;
      pair[1].remove_prefix(nul + 1);
    }
  }
  return headers;
}

std::string SpdyCodec::Impl::deflate_headers(const Headers& headers) {
  std::string text;
  put32(text, static_cast<uint32_t>(headers.size()));
  for (const Headers::Field& field : headers) {
    put32(text, static_cast<uint32_t>(field.name.size()));
    for (char c : field.name) text += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    put32(text, static_cast<uint32_t>(field.value.size()));
    text += field.value;
  }
  std::string block;
  out.next_in = reinterpret_cast<Bytef*>(text.data());
  out.avail_in = static_cast<uInt>(text.size());
  do {
    char part[4096];
    out.next_out = reinterpret_cast<Bytef*>(part);
    out.avail_out = sizeof part;
    deflate(&out, Z_SYNC_FLUSH);
    block.append(part, sizeof part - out.avail_out);
  } while (out.avail_out == 0);
  return block;
}

Result<SpdyFrame> SpdyCodec::Impl::control(uint16_t type, uint8_t flags, std::string_view body) {
  SpdyFrame f;
  size_t fixed = type == kSynStream                                               ? 10
                 : type == kRstStream || type == kGoaway || type == kWindowUpdate ? 8
                                                                                  : 4;
  if (body.size() < fixed) return bad("control frame is cut");
  f.stream = get32(body, 0) & 0x7fffffff;
  f.fin = (flags & 1) != 0;
  switch (type) {
    case kSynStream:
      f.kind = SpdyFrame::Kind::kSynStream;
      f.unidirectional = (flags & 2) != 0;
      break;
    case kSynReply: f.kind = SpdyFrame::Kind::kSynReply; break;
    case kHeaders: f.kind = SpdyFrame::Kind::kHeaders; break;
    case kRstStream: f.kind = SpdyFrame::Kind::kRstStream; break;
    case kGoaway: f.kind = SpdyFrame::Kind::kGoaway; break;
    case kWindowUpdate: f.kind = SpdyFrame::Kind::kWindowUpdate; break;
    case kPing:
      f.kind = SpdyFrame::Kind::kPing;
      f.stream = get32(body, 0);
      break;
    case kSettings: {
      f.kind = SpdyFrame::Kind::kSettings;
      uint32_t count = get32(body, 0);
      f.stream = 0;
      if (body.size() - 4 != count * uint64_t{8}) return bad("bad SETTINGS");
      for (uint32_t i = 0; i < count; i++) {
        f.settings.emplace_back(get32(body, 4 + i * 8) & 0xffffff, get32(body, 8 + i * 8));
      }
      break;
    }
    default: return bad("unknown frame");
  }
  if (type == kSynStream || type == kSynReply || type == kHeaders) {
    TRY_ASSIGN(f.headers, inflate_headers(body.substr(fixed)));
  } else if (fixed == 8) {
    f.value = get32(body, 4);
  }
  return f;
}

SpdyCodec::SpdyCodec() : impl_(std::make_unique<Impl>()) {
  CHECK(inflateInit(&impl_->in) == Z_OK);
  // A small window: header blocks are short, and each session pays for it.
  CHECK(deflateInit2(&impl_->out, 1, Z_DEFLATED, 11, 3, Z_DEFAULT_STRATEGY) == Z_OK);
  const std::string& d = spdy_dictionary();
  CHECK(deflateSetDictionary(&impl_->out, reinterpret_cast<const Bytef*>(d.data()),
                             static_cast<uInt>(d.size())) == Z_OK);
}

SpdyCodec::~SpdyCodec() {
  inflateEnd(&impl_->in);
  deflateEnd(&impl_->out);
}

Result<std::vector<SpdyFrame>> SpdyCodec::feed(std::string_view bytes) {
  std::vector<SpdyFrame> out;
  Impl& s = *impl_;
  s.input += bytes;
  std::string_view in = s.input;
  while (true) {
    if (s.data_left > 0) {
      if (in.empty()) break;
      SpdyFrame f;
      f.stream = s.data_stream;
      f.data = in.substr(0, s.data_left);
      s.data_left -= static_cast<uint32_t>(f.data.size());
      f.fin = s.data_left == 0 && s.data_fin;
      in.remove_prefix(f.data.size());
      out.push_back(std::move(f));
      continue;
    }
    if (in.size() < 8) break;
    uint32_t first = get32(in, 0);
    uint32_t size = get32(in, 4) & 0xffffff;
    auto flags = static_cast<uint8_t>(in[4]);
    if ((first & 0x80000000) == 0) {
      in.remove_prefix(8);
      s.data_stream = first;
      s.data_left = size;
      s.data_fin = (flags & 1) != 0;
      if (size == 0 && s.data_fin) {
        SpdyFrame f;
        f.stream = first;
        f.fin = true;
        out.push_back(std::move(f));
      }
      continue;
    }
    if ((first >> 16 & 0x7fff) != kVersion) return bad("unsupported version");
    if (size > kControlLimit) return bad("control frame too large");
    if (in.size() - 8 < size) break;
    uint16_t type = static_cast<uint16_t>(first);
    // Types that are not known are passed over.
    if (type == kWindowUpdate || type == kHeaders ||
        (type >= kSynStream && type <= kGoaway && type != 5)) {
      TRY_ASSIGN(SpdyFrame f, s.control(type, flags, in.substr(8, size)));
      out.push_back(std::move(f));
    }
    in.remove_prefix(8 + size);
  }
  s.input.erase(0, s.input.size() - in.size());
  return out;
}

std::string SpdyCodec::encode(const SpdyFrame& f) {
  std::string body;
  uint16_t type = 0;
  auto flags = static_cast<uint8_t>((f.fin ? 1 : 0) | (f.unidirectional ? 2 : 0));
  switch (f.kind) {
    case SpdyFrame::Kind::kData: body = f.data; break;
    case SpdyFrame::Kind::kSynStream:
      type = kSynStream;
      put32(body, f.stream);
      body.append(6, '\0');
      body += impl_->deflate_headers(f.headers);
      break;
    case SpdyFrame::Kind::kSynReply:
    case SpdyFrame::Kind::kHeaders:
      type = f.kind == SpdyFrame::Kind::kSynReply ? kSynReply : kHeaders;
      put32(body, f.stream);
      body += impl_->deflate_headers(f.headers);
      break;
    case SpdyFrame::Kind::kPing:
      type = kPing;
      put32(body, f.stream);
      break;
    case SpdyFrame::Kind::kSettings:
      type = kSettings;
      put32(body, static_cast<uint32_t>(f.settings.size()));
      for (const auto& [id, value] : f.settings) {
        put32(body, id);
        put32(body, value);
      }
      break;
    case SpdyFrame::Kind::kRstStream:
    case SpdyFrame::Kind::kGoaway:
    case SpdyFrame::Kind::kWindowUpdate:
      type = f.kind == SpdyFrame::Kind::kRstStream ? kRstStream
             : f.kind == SpdyFrame::Kind::kGoaway  ? kGoaway
                                                   : kWindowUpdate;
      put32(body, f.stream);
      put32(body, f.value);
      break;
  }
  std::string out;
  out.reserve(body.size() + 8);
  put32(out, type == 0 ? f.stream : 0x80000000U | kVersion << 16 | type);
  put32(out, static_cast<uint32_t>(flags) << 24 | static_cast<uint32_t>(body.size()));
  return out + body;
}

}  // namespace knarr::net
