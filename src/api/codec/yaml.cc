// Reading: yaml-cpp finds the structure, events become values here, with the YAML 1.1 scalar rules
// of go-yaml v2, which sigs.k8s.io/yaml stands on. Object keys come out sorted, as Go's JSON of a
// map. Writing is in yaml_write.cc.
#include "api/codec/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <map>
#include <sstream>

#include "api/codec/encode.h"
#include "api/codec/yaml_scalar.h"

namespace knarr::api {

namespace {

constexpr size_t kMaxDepth = 1000;
constexpr size_t kMaxNodes = 2000000;  // of one document, aliases expanded

struct TooDeep {};

// Builds one document. A collection under construction is a frame.
class Builder : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override { start_ = mark.pos; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(mark, anchor, json::Value());
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto it = anchors_.find(anchor);
    add(mark, 0, it == anchors_.end() ? json::Value() : it->second);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    add(mark, anchor, yaml_scalar(tag, text));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    push(mark, anchor, json::Value::array());
  }
  void OnSequenceEnd() override { pop(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    push(mark, anchor, json::Value::object());
  }
  void OnMapEnd() override { pop(); }

  int start() const { return start_; }
  YamlDocument take() { return {std::move(root_), std::move(duplicates_)}; }

 private:
  struct Frame {
    json::Value value;
    YAML::anchor_t anchor;
    YAML::Mark mark;
    bool map;
    bool has_key = false;
    std::string key;
    bool merge = false;  // the key is "<<"
    std::map<std::string, json::Value> members;
  };

  void push(const YAML::Mark& mark, YAML::anchor_t anchor, json::Value value) {
    if (frames_.size() >= kMaxDepth) throw TooDeep();
    bool map = value.is_object();
    frames_.push_back({std::move(value), anchor, mark, map, false, {}, false, {}});
  }

  void pop() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    for (auto& [key, member] : frame.members) frame.value.set(key, std::move(member));
    add(frame.mark, frame.anchor, std::move(frame.value));
  }

  static size_t count(const json::Value& value) {
    size_t n = 1;
    for (json::Member member : value.members()) n += count(member.value);
    for (const json::Value& element : value.elements()) n += count(element);
    return n;
  }

  void add(const YAML::Mark& mark, YAML::anchor_t anchor, json::Value value) {
    nodes_ += value.is_object() || value.is_array() ? count(value) : 1;
    if (nodes_ > kMaxNodes) throw TooDeep();
    if (anchor != 0) anchors_[anchor] = value;
    if (frames_.empty()) {
      root_ = std::move(value);
      return;
    }
    Frame& frame = frames_.back();
    if (!frame.map) {
      frame.value.push_back(std::move(value));
    } else if (!frame.has_key) {
      frame.has_key = true;
      frame.key = key_text(value);
      frame.merge = frame.key == "<<";
      if (!frame.merge && frame.members.count(frame.key) != 0) {
        duplicates_.push_back("line " + std::to_string(mark.line + 1) + ": key \"" + frame.key +
                              "\" already set in map");
      }
    } else {
      frame.has_key = false;
      if (frame.merge) {
        merge_into(frame, value);
      } else {
        frame.members[frame.key] = std::move(value);
      }
    }
  }

  // "<<": members that the map does not have itself.
  static void merge_into(Frame& frame, const json::Value& value) {
    for (json::Member member : value.members()) {
      frame.members.emplace(std::string(member.key), member.value);
    }
    for (const json::Value& element : value.elements()) {
      for (json::Member member : element.members()) {
        frame.members.emplace(std::string(member.key), member.value);
      }
    }
  }

  // A key that is no string reads as its JSON text: `yes: 1` has the key "true".
  static std::string key_text(const json::Value& value) {
    if (value.is_string()) return value.text();
    std::string text;
    append_any_json(text, value);
    return text;
  }

  int start_ = -1;  // where the document begins
  size_t nodes_ = 0;
  json::Value root_;
  std::vector<Frame> frames_;
  std::map<YAML::anchor_t, json::Value> anchors_;
  std::vector<std::string> duplicates_;
};

// A tab stands where indentation should, on line `number` counted from 0.
bool tab_indents(std::string_view text, int number) {
  for (; number > 0; number--) {
    size_t end = text.find('\n');
    if (end == std::string_view::npos) return false;
    text.remove_prefix(end + 1);
  }
  size_t first = text.find_first_not_of(' ');
  return first != std::string_view::npos && text[first] == '\t';
}

// yaml-cpp's complaint in the words of go-yaml, as far as they have the same ones.
Error yaml_error(std::string_view text, const YAML::Exception& e) {
  std::string why = e.msg;
  if (tab_indents(text, e.mark.line)) {
    why = "found character that cannot start any token";
  } else if (why.find("end of map") != std::string::npos ||
             why.find("illegal map value") != std::string::npos) {
    why = "did not find expected key";
  } else if (why.find("unknown token") != std::string::npos ||
             why.find("illegal tab") != std::string::npos) {
    why = "found character that cannot start any token";
  } else if (why.find("end of sequence flow") != std::string::npos) {
    why = "did not find expected ',' or ']'";
  } else if (why.find("end of map flow") != std::string::npos) {
    why = "did not find expected ',' or '}'";
  } else if (why.find("invalid alias") != std::string::npos ||
             why.find("undefined alias") != std::string::npos) {
    why = "unknown anchor referenced";
  }
  int line = e.mark.line;
  return make_error(Code::kBadRequest,
                    "yaml: " + (line > 0 ? "line " + std::to_string(line) + ": " : "") + why);
}

}  // namespace

Result<YamlDocument> parse_yaml(std::string_view text) {
  std::istringstream stream{std::string(text)};
  Builder builder;
  try {
    YAML::Parser parser(stream);
    parser.HandleNextDocument(builder);
  } catch (const YAML::Exception& e) {
    return yaml_error(text, e);
  } catch (const TooDeep&) {
    return make_error(Code::kBadRequest, "yaml: document contains excessive aliasing");
  }
  return builder.take();
}

Result<std::vector<json::Value>> parse_yaml_stream(std::string_view text) {
  std::istringstream stream{std::string(text)};
  std::vector<json::Value> documents;
  try {
    YAML::Parser parser(stream);
    // The parser does not step over what can't begin a document.
    for (int last_start = -1;;) {
      Builder builder;
      if (!parser.HandleNextDocument(builder)) break;
      if (builder.start() <= last_start) {
        return make_error(Code::kBadRequest, "yaml: did not find expected <document start>");
      }
      last_start = builder.start();
      YamlDocument document = builder.take();
      if (!document.value.is_null()) documents.push_back(std::move(document.value));
    }
  } catch (const YAML::Exception& e) {
    return yaml_error(text, e);
  } catch (const TooDeep&) {
    return make_error(Code::kBadRequest, "yaml: document contains excessive aliasing");
  }
  return documents;
}

}  // namespace knarr::api
