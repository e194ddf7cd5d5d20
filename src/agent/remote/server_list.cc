#include "agent/remote/server_list.h"

#include <algorithm>

#include "base/file.h"
#include "base/log.h"
#include "net/url.h"

namespace knarr::agent {

namespace {

constexpr int64_t kStayMs = 5000;

std::vector<std::string> read_urls(const std::string& file) {
  std::vector<std::string> urls;
  if (file.empty() || !base::file_exists(file)) return urls;
  auto text = base::read_file(file);
  if (!text.ok()) return urls;
  size_t at = 0;
  for (size_t end; (end = text->find('\n', at)) != std::string::npos; at = end + 1) {
    std::string line = text->substr(at, end - at);
    auto url = net::parse_url(line);
    if (url.ok() && url->scheme == "https") urls.push_back(std::move(line));
  }
  return urls;
}

}  // namespace

ServerBook::ServerBook(std::vector<std::string> told, std::string file)
    : told_(std::move(told)), file_(std::move(file)), learnt_(read_urls(file_)), urls_(told_) {
  put_together(learnt_);
}

void ServerBook::put_together(const std::vector<std::string>& learnt) {
  urls_ = told_;
  for (const std::string& url : learnt) {
    if (std::find(urls_.begin(), urls_.end(), url) == urls_.end()) urls_.push_back(url);
  }
}

void ServerBook::learn(const std::vector<std::string>& urls) {
  if (urls == learnt_) return;
  learnt_ = urls;
  put_together(learnt_);
  if (file_.empty()) return;
  std::string text;
  for (const std::string& url : learnt_) text += url + "\n";
  if (auto kept = base::write_file(file_, text, 0600); !kept.ok()) {
    base::log(base::Level::kError, "client", "{}", kept.error().message);
  }
}

ServerList::ServerList(std::shared_ptr<const ServerBook> book)
    : book_(std::move(book)), current_(book_->urls().front()) {}

ServerList::ServerList(std::vector<std::string> urls)
    : ServerList(std::make_shared<const ServerBook>(std::move(urls))) {}

void ServerList::answered(const std::string& url) {
  if (url != current_) return;
  good_ = true;
  failing_since_ms_ = -1;
}

void ServerList::failed(const std::string& url, int64_t now_ms) {
  if (url != current_) return;
  if (good_ && failing_since_ms_ < 0) failing_since_ms_ = now_ms;
  if (good_ && now_ms - failing_since_ms_ < kStayMs) return;
  good_ = false;
  failing_since_ms_ = -1;
  const std::vector<std::string>& urls = book_->urls();
  auto at = std::find(urls.begin(), urls.end(), current_);
  if (at != urls.end()) ++at;
  current_ = at == urls.end() ? urls.front() : *at;
}

}  // namespace knarr::agent
