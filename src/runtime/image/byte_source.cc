#include "runtime/image/byte_source.h"

#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

namespace knarr::runtime {

namespace {

constexpr size_t kBuffer = 1 << 16;

class FileSource final : public ByteSource {
 public:
  FileSource(base::UniqueFd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}
  Result<size_t> read(char* out, size_t n) override {
    for (;;) {
      ssize_t got = ::read(fd_.get(), out, n);
      if (got >= 0) return static_cast<size_t>(got);
      if (errno != EINTR) return errno_error(errno, "read " + name_);
    }
  }

 private:
  base::UniqueFd fd_;
  std::string name_;
};

class StringSource final : public ByteSource {
 public:
  explicit StringSource(std::string bytes) : bytes_(std::move(bytes)) {}
  Result<size_t> read(char* out, size_t n) override {
    size_t got = std::min(n, bytes_.size() - at_);
    memcpy(out, bytes_.data() + at_, got);
    at_ += got;
    return got;
  }

 private:
  std::string bytes_;
  size_t at_ = 0;
};

// The inner source with a buffer before it, so that its first bytes can be looked at.
class PeekSource final : public ByteSource {
 public:
  explicit PeekSource(std::unique_ptr<ByteSource> inner) : inner_(std::move(inner)) {}
  Result<std::string_view> peek(size_t n) {
    while (head_.size() < n) {
      char buffer[8];
      TRY_ASSIGN(size_t got, inner_->read(buffer, std::min(sizeof buffer, n - head_.size())));
      if (got == 0) break;
      head_.append(buffer, got);
    }
    return std::string_view(head_);
  }
  Result<size_t> read(char* out, size_t n) override {
    if (at_ == head_.size()) return inner_->read(out, n);
    size_t got = std::min(n, head_.size() - at_);
    memcpy(out, head_.data() + at_, got);
    at_ += got;
    return got;
  }

 private:
  std::unique_ptr<ByteSource> inner_;
  std::string head_;
  size_t at_ = 0;
};

class GzipSource final : public ByteSource {
 public:
  explicit GzipSource(std::unique_ptr<ByteSource> inner)
      : inner_(std::move(inner)), buffer_(kBuffer) {
    CHECK(inflateInit2(&z_, 15 + 16) == Z_OK);
  }
  ~GzipSource() override { inflateEnd(&z_); }

  Result<size_t> read(char* out, size_t n) override {
    z_.next_out = reinterpret_cast<Bytef*>(out);
    z_.avail_out = static_cast<uInt>(n);
    while (z_.avail_out == n) {
      if (z_.avail_in == 0) {
        TRY_ASSIGN(size_t got, inner_->read(buffer_.data(), buffer_.size()));
        if (got == 0) {
          if (member_done_) return size_t{0};
          return make_error(Code::kInvalid, "gzip: unexpected EOF");
        }
        z_.next_in = reinterpret_cast<Bytef*>(buffer_.data());
        z_.avail_in = static_cast<uInt>(got);
      }
      if (member_done_) {
        // Zero bytes behind the last member are padding, as gzip(1) has it.
        if (*z_.next_in == 0) {
          ++z_.next_in;
          --z_.avail_in;
          continue;
        }
        if (inflateReset(&z_) != Z_OK) return make_error(Code::kInvalid, "gzip: invalid header");
        member_done_ = false;
      }
      int code = inflate(&z_, Z_NO_FLUSH);
      if (code == Z_STREAM_END) {
        member_done_ = true;
      } else if (code != Z_OK && code != Z_BUF_ERROR) {
        return make_error(Code::kInvalid,
                          std::string("gzip: ") + (z_.msg != nullptr ? z_.msg : "invalid data"));
      }
    }
    return n - z_.avail_out;
  }

 private:
  std::unique_ptr<ByteSource> inner_;
  std::vector<char> buffer_;
  z_stream z_{};
  bool member_done_ = false;
};

class ZstdSource final : public ByteSource {
 public:
  explicit ZstdSource(std::unique_ptr<ByteSource> inner)
      : inner_(std::move(inner)), buffer_(kBuffer), z_(ZSTD_createDStream()) {
    // The window a decoder has to grant unasked (RFC 8878 recommends 8 MiB; zstd --long uses 128).
    ZSTD_DCtx_setParameter(z_, ZSTD_d_windowLogMax, 27);
  }
  ~ZstdSource() override { ZSTD_freeDStream(z_); }

  Result<size_t> read(char* out, size_t n) override {
    ZSTD_outBuffer to{out, n, 0};
    while (to.pos == 0) {
      if (in_.pos == in_.size && !more_output_) {
        TRY_ASSIGN(size_t got, inner_->read(buffer_.data(), buffer_.size()));
        if (got == 0) {
          if (frame_done_) return size_t{0};
          return make_error(Code::kInvalid, "zstd: unexpected EOF");
        }
        in_ = {buffer_.data(), got, 0};
      }
      size_t code = ZSTD_decompressStream(z_, &to, &in_);
      if (ZSTD_isError(code) != 0) {
        return make_error(Code::kInvalid, std::string("zstd: ") + ZSTD_getErrorName(code));
      }
      frame_done_ = code == 0;
      more_output_ = !frame_done_ && to.pos == to.size;
    }
    return to.pos;
  }

 private:
  std::unique_ptr<ByteSource> inner_;
  std::vector<char> buffer_;
  ZSTD_DStream* z_;
  ZSTD_inBuffer in_{nullptr, 0, 0};
  bool frame_done_ = true;
  bool more_output_ = false;  // the output was full: the decoder may hold more
};

}  // namespace

std::unique_ptr<ByteSource> file_source(base::UniqueFd fd, std::string name) {
  return std::make_unique<FileSource>(std::move(fd), std::move(name));
}

std::unique_ptr<ByteSource> string_source(std::string bytes) {
  return std::make_unique<StringSource>(std::move(bytes));
}

Result<std::unique_ptr<ByteSource>> decompressed(std::unique_ptr<ByteSource> inner) {
  auto peeking = std::make_unique<PeekSource>(std::move(inner));
  TRY_ASSIGN(std::string_view head, peeking->peek(4));
  bool gzip = head.starts_with("\x1f\x8b");
  bool zstd = head.starts_with("\x28\xb5\x2f\xfd") ||
              (head.size() == 4 && (head[0] & 0xf0) == 0x50 && head.substr(1) == "\x2a\x4d\x18");
  if (gzip) return std::unique_ptr<ByteSource>(new GzipSource(std::move(peeking)));
  if (zstd) return std::unique_ptr<ByteSource>(new ZstdSource(std::move(peeking)));
  return std::unique_ptr<ByteSource>(std::move(peeking));
}

Result<size_t> HashingSource::read(char* out, size_t n) {
  TRY_ASSIGN(size_t got, inner_.read(out, n));
  hasher_.update(std::string_view(out, got));
  return got;
}

Result<std::string> HashingSource::finish() {
  std::vector<char> buffer(kBuffer);
  for (;;) {
    TRY_ASSIGN(size_t got, read(buffer.data(), buffer.size()));
    if (got == 0) return hasher_.digest();
  }
}

}  // namespace knarr::runtime
