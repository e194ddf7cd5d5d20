#include "runtime/wire.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace knarr::runtime {

namespace {

constexpr size_t kMaxFds = 8;
constexpr uint32_t kMaxBytes = 16 << 20;

struct Header {
  uint32_t json_bytes;
  uint32_t blob_bytes;
  uint32_t fds;
};

}  // namespace

std::string frame(const Message& message) {
  std::string json = json::write(message.body);
  Header header{static_cast<uint32_t>(json.size()), static_cast<uint32_t>(message.blob.size()),
                static_cast<uint32_t>(message.fds.size())};
  std::string out(reinterpret_cast<const char*>(&header), sizeof header);
  return out + json + message.blob;
}

Result<size_t> send_some(int socket, std::string_view bytes,
                         const std::vector<base::UniqueFd>& fds) {
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxFds * sizeof(int))] = {};
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    for (size_t i = 0; i < fds.size(); i++) {
      int fd = fds[i].get();
      memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof fd);
    }
  }
  ssize_t n;
  do {
    n = sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  if (n >= 0) return static_cast<size_t>(n);
  if (errno == EAGAIN) return size_t{0};
  return errno_error(errno, "send to the other side of a shim's socket");
}

base::UniqueFd receive_descriptor(int socket) {
  char byte;
  iovec part{&byte, 1};
  msghdr header{};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  if (recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != 1) return base::UniqueFd();
  cmsghdr* c = CMSG_FIRSTHDR(&header);
  if (c == nullptr || c->cmsg_type != SCM_RIGHTS) return base::UniqueFd();
  int fd;
  memcpy(&fd, CMSG_DATA(c), sizeof fd);
  return base::UniqueFd(fd);
}

Result<bool> MessageReader::fill(int socket) {
  while (true) {
    char buffer[16384];
    iovec part{buffer, sizeof buffer};
    alignas(cmsghdr) char control[CMSG_SPACE(kMaxFds * sizeof(int))];
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    ssize_t n = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return true;
    if (n < 0) return errno_error(errno, "receive from the other side of a shim's socket");
    for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
      size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < count; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
        fds_.emplace_back(fd);
      }
    }
    if (n == 0) return false;
    bytes_.append(buffer, static_cast<size_t>(n));
  }
}

Result<bool> MessageReader::next(Message& message) {
  Header header;
  if (bytes_.size() < sizeof header) return false;
  memcpy(&header, bytes_.data(), sizeof header);
  if (header.json_bytes > kMaxBytes || header.blob_bytes > kMaxBytes || header.fds > kMaxFds) {
    return make_error(Code::kBadRequest, "shim message: impossible size");
  }
  size_t total = sizeof header + header.json_bytes + header.blob_bytes;
  if (bytes_.size() < total) return false;
  std::string_view text = std::string_view(bytes_).substr(sizeof header);
  TRY_ASSIGN(message.body, json::parse(text.substr(0, header.json_bytes)));
  message.blob = std::string(text.substr(header.json_bytes, header.blob_bytes));
  message.fds.clear();
  if (fds_.size() < header.fds) {
    return make_error(Code::kBadRequest, "shim message: descriptors are missing");
  }
  for (uint32_t i = 0; i < header.fds; i++) {
    message.fds.push_back(std::move(fds_.front()));
    fds_.pop_front();
  }
  bytes_.erase(0, total);
  return true;
}

}  // namespace knarr::runtime
