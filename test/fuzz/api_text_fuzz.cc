// The small languages of the API, chosen by the first byte: quantities, selectors, field selectors,
// schedules, durations, addresses, time zones. What parses prints as text that parses to the same.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "api/cron.h"
#include "api/duration.h"
#include "api/ip.h"
#include "api/quantity.h"
#include "api/selector.h"
#include "knarr/check.h"

using namespace knarr::api;

namespace {

void quantity(std::string_view text) {
  auto first = Quantity::parse(text);
  if (!first.ok()) return;
  first->value();
  first->milli_value();
  Quantity sum = *first;
  sum.add(*first);
  sum.subtract(*first);
  CHECK(Quantity::parse(first->text()).ok());
}

void label_selector(std::string_view text) {
  auto first = LabelSelector::parse(text);
  if (!first.ok()) return;
  knarr::Object object;
  first->matches(object);
  auto again = LabelSelector::parse(first->text());
  CHECK(again.ok() && again->text() == first->text());
}

void field_selector(std::string_view text) {
  auto first = FieldSelector::parse(text);
  if (!first.ok()) return;
  auto again = FieldSelector::parse(first->text());
  CHECK(again.ok() && again->text() == first->text());
}

void schedule(std::string_view text) {
  auto cron = CronSchedule::parse(text);
  if (!cron.ok()) return;
  auto next = cron->next(1'000'000'000);
  CHECK(!next || *next > 1'000'000'000);
}

void duration(std::string_view text) {
  auto ns = parse_duration(text);
  if (ns.ok()) CHECK(*parse_duration(format_duration(*ns)) == *ns);
}

void address(std::string_view text) {
  if (auto ip = IpAddress::parse(text)) CHECK(IpAddress::parse(ip->text()) == ip);
  if (auto block = Cidr::parse(text)) CHECK(block->contains(block->network()));
}

void zone(std::string_view text) {
  auto offset = parse_tzif(text);
  if (offset.ok()) (*offset)(1'000'000'000);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  static constexpr void (*kTargets[])(std::string_view) = {
      quantity, label_selector, field_selector, schedule, duration, address, zone};
  kTargets[data[0] % (sizeof kTargets / sizeof kTargets[0])](text);
  return 0;
}
