#include "agent/proxy/netlink.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "knarr/check.h"

namespace knarr::agent {

namespace {

constexpr size_t kBufferBytes = 64 * 1024;

size_t aligned(size_t n) { return (n + 3) & ~size_t{3}; }

}  // namespace

NetlinkMessage::NetlinkMessage(uint16_t type, uint16_t flags, const void* header, size_t size) {
  nlmsghdr head{};
  head.nlmsg_type = type;
  head.nlmsg_flags = static_cast<uint16_t>(flags | NLM_F_REQUEST);
  append(&head, sizeof head);
  append(header, size);
}

void NetlinkMessage::append(const void* data, size_t size) {
  bytes_.append(static_cast<const char*>(data), size);
  bytes_.resize(aligned(bytes_.size()));
}

void NetlinkMessage::put(uint16_t type, std::string_view bytes) {
  nlattr head{};
  head.nla_len = static_cast<uint16_t>(sizeof head + bytes.size());
  head.nla_type = type;
  append(&head, sizeof head);
  append(bytes.data(), bytes.size());
}

void NetlinkMessage::put_text(uint16_t type, const std::string& text) {
  put(type, std::string_view(text.c_str(), text.size() + 1));
}

void NetlinkMessage::put_u32(uint16_t type, uint32_t value) {
  put(type, std::string_view(reinterpret_cast<const char*>(&value), sizeof value));
}

void NetlinkMessage::put_u8(uint16_t type, uint8_t value) {
  put(type, std::string_view(reinterpret_cast<const char*>(&value), sizeof value));
}

size_t NetlinkMessage::begin(uint16_t type) {
  size_t at = bytes_.size();
  put(type, {});
  return at;
}

void NetlinkMessage::end(size_t begun) {
  auto size = static_cast<uint16_t>(bytes_.size() - begun);
  memcpy(bytes_.data() + begun + offsetof(nlattr, nla_len), &size, sizeof size);
}

std::string_view attribute(std::string_view attributes, uint16_t type) {
  std::string_view found;
  while (attributes.size() >= sizeof(nlattr)) {
    nlattr head;
    memcpy(&head, attributes.data(), sizeof head);
    if (head.nla_len < sizeof head || head.nla_len > attributes.size()) break;
    if ((head.nla_type & NLA_TYPE_MASK) == type) {
      found = attributes.substr(sizeof head, head.nla_len - sizeof head);
    }
    attributes.remove_prefix(std::min(aligned(head.nla_len), attributes.size()));
  }
  return found;
}

uint32_t attribute_u32(std::string_view attributes, uint16_t type, uint32_t fallback) {
  std::string_view bytes = attribute(attributes, type);
  uint32_t value = fallback;
  if (bytes.size() >= sizeof value) memcpy(&value, bytes.data(), sizeof value);
  return value;
}

Result<Netlink> Netlink::open(int protocol) {
  Netlink out;
  out.fd_ = base::UniqueFd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!out.fd_.valid()) return errno_error(errno, "open a netlink socket");
  return out;
}

Result<void> Netlink::request(NetlinkMessage message, const std::string& what, int* refused) {
  return exchange(message, what, refused, nullptr);
}

Result<std::vector<std::string>> Netlink::query(NetlinkMessage message, const std::string& what) {
  std::vector<std::string> answers;
  TRY(exchange(message, what, nullptr, &answers));
  return answers;
}

// Ends with the acknowledgement, or with the mark behind a dump.
Result<void> Netlink::exchange(NetlinkMessage& message, const std::string& what, int* refused,
                               std::vector<std::string>* answers) {
  auto* head = reinterpret_cast<nlmsghdr*>(message.bytes().data());
  head->nlmsg_len = static_cast<uint32_t>(message.bytes().size());
  head->nlmsg_seq = ++sequence_;
  if ((head->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP) head->nlmsg_flags |= NLM_F_ACK;
  if (send(fd_.get(), message.bytes().data(), message.bytes().size(), 0) < 0) {
    return errno_error(errno, what);
  }
  std::string buffer(kBufferBytes, '\0');
  while (true) {
    ssize_t n = recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, what);
    std::string_view rest(buffer.data(), static_cast<size_t>(n));
    while (rest.size() >= sizeof(nlmsghdr)) {
      nlmsghdr answer;
      memcpy(&answer, rest.data(), sizeof answer);
      if (answer.nlmsg_len < sizeof answer || answer.nlmsg_len > rest.size()) break;
      std::string_view body = rest.substr(sizeof answer, answer.nlmsg_len - sizeof answer);
      rest.remove_prefix(std::min(aligned(answer.nlmsg_len), rest.size()));
      if (answer.nlmsg_seq != sequence_) continue;
      if (answer.nlmsg_type == NLMSG_DONE) return {};
      if (answer.nlmsg_type != NLMSG_ERROR) {
        if (answers != nullptr) answers->emplace_back(body);
        continue;
      }
      int code = 0;
      if (body.size() >= sizeof code) memcpy(&code, body.data(), sizeof code);
      if (code == 0) return {};
      if (refused != nullptr) *refused = -code;
      return errno_error(-code, what);
    }
  }
}

void for_each_message(std::string_view messages,
                      const std::function<void(const nlmsghdr& head, std::string_view body)>& fn) {
  while (messages.size() >= sizeof(nlmsghdr)) {
    nlmsghdr head;
    memcpy(&head, messages.data(), sizeof head);
    if (head.nlmsg_len < sizeof head || head.nlmsg_len > messages.size()) break;
    fn(head, messages.substr(sizeof head, head.nlmsg_len - sizeof head));
    messages.remove_prefix(std::min(aligned(head.nlmsg_len), messages.size()));
  }
}

NetlinkEar::NetlinkEar(base::Loop& loop, std::function<void(std::string_view)> heard)
    : loop_(loop), heard_(std::move(heard)) {}

Result<void> NetlinkEar::start(int protocol, uint32_t groups, int queue_bytes) {
  socket_.reset(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
  if (!socket_.valid()) return errno_error(errno, "open a netlink socket");
  if (queue_bytes > 0) {
    setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &queue_bytes, sizeof queue_bytes);
  }
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  if (bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return errno_error(errno, "listen to the kernel");
  }
  watch_ = std::make_unique<base::FdWatch>(loop_, socket_.get(), UV_READABLE,
                                           [this](int) { receive(); });
  return {};
}

void NetlinkEar::receive() {
  std::string buffer(kBufferBytes, '\0');
  while (true) {
    ssize_t n = recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == ENOBUFS) {
      heard_({});
      continue;
    }
    if (n <= 0) return;
    heard_({buffer.data(), static_cast<size_t>(n)});
  }
}

}  // namespace knarr::agent
