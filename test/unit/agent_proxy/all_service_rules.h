// The rules of all services together, put together as the proxy does.
#pragma once

#include "agent/proxy/rule_book.h"
#include "agent/proxy/service_rules.h"

namespace knarr::agent {

inline RuleSet all_service_rules(const ServiceState& state, const ServiceRulesConfig& config) {
  RuleBook book;
  book.put({0, "/"}, first_rules(state, config, by_net(state)));
  for (const auto& [name, service] : state.services) {
    book.put({0, name.text()}, rules_of_service(state, config, by_net(state), name));
  }
  book.put({0, "~"}, last_rules(config));
  return book.all();
}

}  // namespace knarr::agent
