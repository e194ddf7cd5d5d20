#include "agent/dns/resolver.h"

#include <utility>

#include "api/ip.h"
#include "base/ascii.h"

namespace knarr::agent {

namespace dns = net::dns;

namespace {

constexpr size_t kTcpLimit = 65535;
constexpr size_t kCachedAnswers = 1000;
constexpr int kMaxAliases = 8;
constexpr uint16_t kAliasUdpSize = 4096;

dns::Message failure(const dns::Message& query, uint8_t rcode) {
  dns::Message reply = dns::reply_to(query);
  reply.recursion_available = true;
  reply.rcode = rcode;
  return reply;
}

// What a message without a readable question gets.
uint8_t refusal_of(const dns::Message& query) {
  if (query.opcode != 0) return dns::kNotImp;
  if (query.questions.size() != 1) return dns::kFormErr;
  if (query.has_edns && query.edns.version > 0) return dns::kBadVers;
  if (query.questions[0].klass != dns::kClassIn) return dns::kRefused;
  return dns::kNoError;
}

void add_addresses(const std::vector<std::string>& addresses, const dns::Question& question,
                   uint32_t ttl, DnsAnswer& out) {
  for (const std::string& address : addresses) {
    uint16_t type = address.find(':') == std::string::npos ? dns::kA : dns::kAaaa;
    if (question.type != type) continue;
    out.answers.push_back({question.name, type, dns::kClassIn, ttl, dns::Address{address}});
  }
}

// What the block's hosts say; kForeign when they do not have the name.
DnsAnswer hosts_answer(const DnsBlock& block, const dns::Question& question, uint32_t ttl) {
  DnsAnswer out;
  std::string name = base::lower(question.name);
  if (auto found = block.hosts.find(name); found != block.hosts.end()) {
    out.kind = DnsAnswer::Kind::kAnswer;
    add_addresses(found->second, question, ttl, out);
  }
  if (question.type != dns::kPtr || block.reverse.empty()) return out;
  auto ip = api::IpAddress::parse(dns::reverse_address(question.name));
  auto found = ip ? block.reverse.find(ip->text()) : block.reverse.end();
  if (found == block.reverse.end()) return out;
  out.kind = DnsAnswer::Kind::kAnswer;
  for (const std::string& host : found->second) {
    out.answers.push_back({question.name, dns::kPtr, dns::kClassIn, ttl, dns::Name{host}});
  }
  return out;
}

}  // namespace

struct Resolver::Query {
  dns::Message message;  // as it came
  dns::Question asked;   // its question, unless that is rewritten
  bool tcp = false;
  size_t limit = 512;
  Send send;

  bool rewritten() const { return asked.name != message.questions[0].name; }
  // The names that were asked for, as they were written.
  void restore(std::vector<dns::Record>& records) const {
    std::string name = base::lower(asked.name);
    for (dns::Record& r : records) {
      if (base::lower(r.name) == name) r.name = message.questions[0].name;
    }
  }
  void finish(dns::Message reply) const {
    restore(reply.answers);
    send(dns::write(reply, limit));
  }
};

Resolver::Resolver(base::Loop& loop, ServiceWatch& services, Random& random,
                   const DnsOptions& options)
    : loop_(loop),
      services_(services),
      random_(random),
      zone_{options.domain, options.address, options.ttl_seconds,
            static_cast<uint32_t>(loop.now_us() / 1'000'000)},
      cache_(kCachedAnswers),
      forwarder_(loop, random, options.resolv_conf, {options.address}) {}

void Resolver::set_custom(CustomDns custom) {
  custom_ = std::move(custom);
  cache_.clear();
}

void Resolver::handle(std::string_view bytes, bool tcp, Send send) {
  auto parsed = dns::parse(bytes);
  if (parsed.ok() ? parsed->response : bytes.size() < 12) return;
  Query query;
  if (parsed.ok()) {
    query.message = *std::move(parsed);
  } else {
    query.message.id =
        static_cast<uint16_t>(static_cast<uint8_t>(bytes[0]) << 8 | static_cast<uint8_t>(bytes[1]));
  }
  query.tcp = tcp;
  query.limit = tcp ? kTcpLimit : dns::udp_limit(query.message);
  query.send = std::move(send);
  uint8_t refused = refusal_of(query.message);
  if (refused == dns::kNoError && forwarder_.is_own_probe(query.message.questions[0])) {
    refused = dns::kRefused;
  }
  if (refused != dns::kNoError) {
    dns::Message reply = dns::reply_to(query.message);
    reply.rcode = refused;
    return query.send(dns::write(reply, query.limit));
  }
  query.asked = query.message.questions[0];
  std::string name = base::lower(query.asked.name), ignored;
  if (const DnsBlock* rules = rules_for(name, &ignored)) {
    std::string other = rewritten(rules->rewrites, name);
    if (!other.empty()) query.asked.name = other;
  }
  Found found = look_up(query.asked);
  if (found.answer.kind != DnsAnswer::Kind::kForeign) return answer(query, found.answer);
  pass_on(query, found, bytes);
}

// The block that has the name; that of all other names; null when there is neither.
const DnsBlock* Resolver::rules_for(const std::string& name, std::string* zone) const {
  if (custom_.blocks.empty()) return nullptr;
  bool ours = is_in_zone(name, zone_.domain);
  const auto* own = custom_.block_of(name, ours ? zone_.domain : std::string());
  if (own != nullptr) {
    *zone = own->first;
    return &own->second;
  }
  auto main = custom_.blocks.find("");
  return main == custom_.blocks.end() ? nullptr : &main->second;
}

Resolver::Found Resolver::look_up(const dns::Question& question) const {
  Found found;
  const DnsBlock* rules = rules_for(base::lower(question.name), &found.zone);
  if (rules != nullptr) {
    found.answer = hosts_answer(*rules, question, zone_.ttl_seconds);
    if (found.answer.kind != DnsAnswer::Kind::kForeign) return found;
    found.targets = rules->targets;
  }
  if (found.zone.empty()) {
    found.answer = dns_answer(services_.state(), zone_, question);
    bool unknown = found.answer.kind != DnsAnswer::Kind::kForeign && !services_.synced();
    if (!unknown) return found;
    found.answer = {};  // what is not known yet may well be there
    found.answer.kind = DnsAnswer::Kind::kAnswer;
    found.answer.rcode = dns::kServFail;
    return found;
  }
  // A zone of its own, which has hosts alone, or ends with them.
  if (rules->targets.empty() || (!rules->hosts.empty() && !rules->falls_through)) {
    found.answer.kind = DnsAnswer::Kind::kAnswer;
    found.answer.rcode = rules->falls_through ? dns::kServFail : dns::kNxDomain;
  }
  return found;
}

void Resolver::answer(const Query& query, const DnsAnswer& found) {
  dns::Message reply = failure(query.message, found.rcode);
  reply.authoritative = found.rcode != dns::kServFail;
  reply.answers = found.answers;
  reply.authorities = found.authorities;
  reply.additionals = found.additionals;
  spread(reply.answers);
  if (found.kind != DnsAnswer::Kind::kAlias) return query.finish(std::move(reply));
  follow(query, std::move(reply), found);
}

// Clients expect the address along with the CNAME: ours are followed here, the last is asked for
// upstream.
void Resolver::follow(const Query& query, dns::Message reply, DnsAnswer alias) {
  for (int i = 0; i < kMaxAliases && alias.kind == DnsAnswer::Kind::kAlias; i++) {
    dns::Question next{alias.alias, query.asked.type, dns::kClassIn};
    Found found = look_up(next);
    if (found.answer.kind == DnsAnswer::Kind::kForeign) {
      ask_upstream(next, found, false, [query, reply](Result<dns::Message> upstream) {
        dns::Message whole = reply;
        whole.rcode = upstream.ok() ? upstream->rcode : static_cast<uint8_t>(dns::kServFail);
        if (upstream.ok()) {
          for (dns::Record& r : upstream->answers) whole.answers.push_back(std::move(r));
        }
        query.finish(std::move(whole));
      });
      return;
    }
    reply.rcode = found.answer.rcode;
    for (const dns::Record& r : found.answer.answers) reply.answers.push_back(r);
    reply.authorities = found.answer.authorities;
    alias = std::move(found.answer);
  }
  if (alias.kind == DnsAnswer::Kind::kAlias) reply.rcode = dns::kServFail;  // a circle
  query.finish(std::move(reply));
}

// Who asks for signatures, or does not want them checked, is asked for upstream each time.
void Resolver::pass_on(const Query& query, const Found& found, std::string_view bytes) {
  const dns::Message& m = query.message;
  bool plain = m.recursion_desired && !m.checking_disabled && !m.edns.dnssec_ok;
  DnsCache::Key key{found.zone, base::lower(query.asked.name), query.asked.type};
  auto reply_with = [query](dns::Message upstream) {
    dns::Message reply = failure(query.message, upstream.rcode);
    reply.answers = std::move(upstream.answers);
    reply.authorities = std::move(upstream.authorities);
    reply.additionals = std::move(upstream.additionals);
    query.finish(std::move(reply));
  };
  if (plain) {
    if (auto kept = cache_.find(key, loop_.monotonic_ms())) return reply_with(*std::move(kept));
  }
  if (query.rewritten()) {
    return ask_upstream(query.asked, found, query.tcp,
                        [query, reply_with](Result<dns::Message> upstream) {
                          if (upstream.ok()) return reply_with(*std::move(upstream));
                          query.finish(failure(query.message, dns::kServFail));
                        });
  }
  forwarder_.forward(bytes, query.tcp, found.targets,
                     [this, query, plain, key](const std::string& upstream) {
                       if (upstream.empty()) {
                         return query.finish(failure(query.message, dns::kServFail));
                       }
                       auto parsed = dns::parse(upstream);
                       if (plain && parsed.ok() && upstream.size() <= DnsCache::kMostBytes)
                         cache_.put(key, *parsed, loop_.monotonic_ms());
                       query.send(upstream);
                     });
}

void Resolver::ask_upstream(const dns::Question& question, const Found& found, bool tcp,
                            Answered done) {
  DnsCache::Key key{found.zone, base::lower(question.name), question.type};
  if (auto kept = cache_.find(key, loop_.monotonic_ms())) return done(*std::move(kept));
  dns::Message query;
  query.recursion_desired = true;
  query.questions.push_back(question);
  query.has_edns = true;
  query.edns.udp_size = kAliasUdpSize;
  forwarder_.forward(dns::write(query), tcp, found.targets,
                     [this, question, found, tcp, key, done](const std::string& bytes) {
                       auto parsed = dns::parse(bytes);
                       if (parsed.ok() && parsed->truncated && !tcp) {
                         return ask_upstream(question, found, true, done);
                       }
                       if (parsed.ok() && bytes.size() <= DnsCache::kMostBytes)
                         cache_.put(key, *parsed, loop_.monotonic_ms());
                       done(std::move(parsed));
                     });
}

// Many clients take the first address: each is first in its turn.
void Resolver::spread(std::vector<dns::Record>& records) {
  for (size_t i = records.size(); i > 1; i--) {
    std::swap(records[i - 1], records[random_.below(i)]);
  }
}

}  // namespace knarr::agent
