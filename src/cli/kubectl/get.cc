// kubectl get: the server's Tables in columns, objects as -o asks, and watches of both.
#include <cstdio>

#include "base/format.h"
#include "cli/kubectl/manifest.h"
#include "cli/kubectl/output.h"
#include "cli/kubectl/tab_writer.h"
#include "cli/kubectl/table_text.h"
#include "cli/kubectl/verbs.h"

namespace knarr::kubectl {

namespace {

constexpr FlagSpec kFlags[] = {
    bool_flag("all-namespaces", 'A', "objects of every namespace"),
    text_flag("output", 'o', "json, yaml, name, wide, jsonpath=..., custom-columns=..."),
    text_flag("selector", 'l', "label selector"),
    text_flag("field-selector", 0, "field selector"),
    list_flag("filename", 'f', "files, folders or URLs that name the objects"),
    bool_flag("recursive", 'R', "folders in folders as well"),
    bool_flag("watch", 'w', "go on with what changes"),
    bool_flag("watch-only", 0, "only what changes"),
    bool_flag("show-labels", 0, "a column of all labels"),
    list_flag("label-columns", 'L', "a column for each of these labels"),
    bool_flag("no-headers", 0, "no line of column names"),
    bool_flag("ignore-not-found", 0, "what is not there is no error"),
    bool_flag("show-managed-fields", 0, "keep metadata.managedFields"),
    bool_flag("show-kind", 0, "the kind before each name"),
    text_flag("sort-by", 0, "a JSONPath that orders the list"),
    text_flag("chunk-size", 0, "objects a request (500)"),
    text_flag("raw", 0, "print what this path of the server answers"),
    text_flag("subresource", 0, "status or scale instead of the object"),
};

// What to ask the server for: one object, or a list.
struct Question {
  const ApiResource* resource;
  std::string ns;
  std::string name;
};

class Getter {
 public:
  Getter(Session& session, const Flags& flags) : session_(session), flags_(flags) {}

  Result<int> run();

 private:
  Result<void> read_words();
  Result<void> read_files();
  Result<json::Value> ask(const Question& question, bool table);
  Result<int> print_tables();
  Result<int> print_objects();
  Result<int> watch(const Question& question);
  Result<bool> fail(const Error& error);
  int finish(bool printed);
  TableOptions table_options(const Question& question) const;

  Session& session_;
  const Flags& flags_;
  ApiClient* api_ = nullptr;
  Output output_;
  std::vector<Question> questions_;
  bool several_resources_ = false;
  std::vector<Error> errors_;
};

Result<void> Getter::read_words() {
  if (flags_.words.empty()) {
    std::fputs(
        "You must specify the type of resource to get. Use \"kubectl api-resources\" for a "
        "complete "
        "list of supported resources.\n\n",
        stderr);
    return make_error(Code::kBadRequest,
                      "Required resource not specified.\nUse \"kubectl explain <resource>\" for a "
                      "detailed description of that resource (e.g. kubectl explain pods).\nSee "
                      "'kubectl get -h' for help and examples");
  }
  TRY_ASSIGN(std::vector<ResourceArg> args, parse_resource_args(flags_.words));
  TRY_ASSIGN(const Catalogue* catalogue, session_.catalogue());
  bool everywhere = flags_.yes("all-namespaces");
  for (const ResourceArg& arg : args) {
    TRY_ASSIGN(std::vector<const ApiResource*> resources, catalogue->resolve(arg.type));
    for (const ApiResource* resource : resources) {
      if (!arg.name.empty() && flags_.has("selector")) {
        return make_error(Code::kBadRequest,
                          "name cannot be provided when a selector is specified");
      }
      if (!arg.name.empty() && everywhere && resource->namespaced) {
        return make_error(Code::kBadRequest,
                          "a resource cannot be retrieved by name across all namespaces");
      }
      bool in_ns = resource->namespaced && !everywhere;
      questions_.push_back({resource, in_ns ? session_.ns() : "", arg.name});
    }
  }
  return {};
}

Result<void> Getter::read_files() {
  TRY_ASSIGN(std::vector<Manifest> manifests, read_manifests(session_, flags_));
  for (Manifest& manifest : manifests) {
    TRY_ASSIGN(Target target, target_of(session_, manifest));
    questions_.push_back({target.resource, target.ns, target.name});
  }
  return {};
}

Result<json::Value> Getter::ask(const Question& question, bool table) {
  ApiAsk ask;
  ask.path = question.resource->path(question.ns, question.name, flags_.text("subresource"));
  if (table) {
    ask.accept = kTableAccept;
    if (flags_.has("sort-by")) ask.query.add("includeObject", "Object");
  }
  if (!question.name.empty()) return api_->call(ask);
  net::Query selectors = selector_query(flags_);
  for (const auto& [name, value] : selectors.pairs()) ask.query.add(name, value);
  TRY_ASSIGN(int64_t page, flags_.number("chunk-size", 500));
  return api_->list(ask, page);
}

// True when the command goes on without the object.
Result<bool> Getter::fail(const Error& error) {
  if (error.code == Code::kNotFound && flags_.yes("ignore-not-found")) return true;
  if (error.details == nullptr) return error;
  errors_.push_back(error);
  return true;
}

TableOptions Getter::table_options(const Question& question) const {
  TableOptions options;
  options.wide = output_.format == Format::kWide;
  options.with_namespace = flags_.yes("all-namespaces") && question.resource->namespaced;
  options.show_labels = flags_.yes("show-labels");
  options.label_columns = flags_.all("label-columns");
  if (several_resources_ || flags_.yes("show-kind")) {
    options.kind_prefix = question.resource->lower_kind();
  }
  return options;
}

int Getter::finish(bool printed) {
  for (const Error& error : errors_) report(error);
  if (!errors_.empty()) return 1;
  if (printed || flags_.yes("ignore-not-found")) return 0;
  bool namespaced = !flags_.yes("all-namespaces");
  for (const Question& question : questions_) namespaced &= question.resource->namespaced;
  std::string where = namespaced ? fmt::format(" in {} namespace.", session_.ns()) : "";
  std::fprintf(stderr, "No resources found%s\n", where.c_str());
  return 0;
}

Result<int> Getter::print_tables() {
  bool printed = false;
  const ApiResource* last = nullptr;
  TabWriter writer(6, 3);
  auto flush = [&] {
    std::string text = writer.flush();
    printed = printed || !text.empty();
    print(text);
  };
  for (const Question& question : questions_) {
    auto answer = ask(question, true);
    if (!answer.ok()) {
      TRY(fail(answer.error()));
      continue;
    }
    json::Value table = std::move(*answer);
    if (table["kind"].as_string() != "Table") table = plain_table(table, now_us());
    if (flags_.has("sort-by")) {
      TRY_ASSIGN(JsonPath path, JsonPath::parse_relaxed(flags_.text("sort-by")));
      sort_rows(table, path);
    }
    if (table["rows"].empty()) continue;
    TableOptions options = table_options(question);
    if (question.resource != last) {
      flush();
      if (printed && !output_.no_headers) print("\n");
      last = question.resource;
      if (!output_.no_headers) writer.write(table_header(table["columnDefinitions"], options));
    }
    for (const json::Value& row : table["rows"].elements()) {
      writer.write(table_row(table["columnDefinitions"], row, options));
    }
  }
  flush();
  return finish(printed);
}

Result<int> Getter::print_objects() {
  json::Value items = json::Value::array();
  bool single = questions_.size() == 1 && !questions_[0].name.empty();
  for (const Question& question : questions_) {
    auto answer = ask(question, false);
    if (!answer.ok()) {
      TRY(fail(answer.error()));
      continue;
    }
    if (!question.name.empty()) {
      items.push_back(std::move(*answer));
      continue;
    }
    for (json::Value& item : answer->member("items").elements()) {
      item.set("apiVersion", question.resource->api_version());
      item.set("kind", question.resource->kind);
      items.push_back(std::move(item));
    }
  }
  if (single && items.empty()) return finish(true);
  if (output_.format == Format::kName && items.empty()) return finish(true);
  json::Value object;
  if (single) {
    object = items[0];
  } else {
    object = json::Value::object({{"apiVersion", "v1"},
                                  {"items", std::move(items)},
                                  {"kind", "List"},
                                  {"metadata", json::Value::object({{"resourceVersion", ""}})}});
  }
  print(output_.text(std::move(object), ""));
  return finish(true);
}

Result<int> Getter::watch(const Question& question) {
  bool table = output_.is_table();
  TabWriter writer(6, 3, true);
  TableOptions options = table_options(question);
  json::Value columns;
  bool headers = !output_.no_headers;
  auto show = [&](const json::Value& object) {
    if (!table) {
      print(output_.text(object, question.resource->lower_kind()));
      return;
    }
    json::Value rows =
        object["kind"].as_string() == "Table" ? object : plain_table(object, now_us());
    if (!rows["columnDefinitions"].empty()) columns = rows["columnDefinitions"];
    if (headers && !rows["rows"].empty()) {
      writer.write(table_header(columns, options));
      headers = false;
    }
    for (const json::Value& row : rows["rows"].elements()) {
      writer.write(table_row(columns, row, options));
    }
    print(writer.flush());
  };
  TRY_ASSIGN(json::Value first, ask(question, table));
  std::string revision = first["metadata"]["resourceVersion"].text();
  if (!question.name.empty() && table) {
    revision = first["rows"][0]["object"]["metadata"]["resourceVersion"].text();
  }
  if (!flags_.yes("watch-only")) {
    if (table || !question.name.empty()) {
      show(first);
    } else {
      for (json::Value& item : first.member("items").elements()) {
        item.set("apiVersion", question.resource->api_version());
        item.set("kind", question.resource->kind);
        show(item);
      }
    }
  }
  ApiAsk ask;
  ask.path = question.resource->path(question.ns);
  ask.query = selector_query(flags_);
  if (!question.name.empty()) ask.query.add("fieldSelector", "metadata.name=" + question.name);
  ask.query.add("resourceVersion", revision);
  if (table) ask.accept = kTableAccept;
  TRY(api_->watch(ask, [&](const WatchEvent& event) {
    if (event.type != "BOOKMARK") show(event.object);
    return std::ferror(stdout) == 0;
  }));
  return 0;
}

Result<int> Getter::run() {
  TRY_ASSIGN(output_, parse_output(flags_));
  TRY_ASSIGN(api_, session_.api());
  if (flags_.has("filename")) {
    TRY(read_files());
  } else {
    TRY(read_words());
  }
  for (const Question& question : questions_) {
    if (question.resource != questions_[0].resource) several_resources_ = true;
  }
  if (flags_.yes("watch") || flags_.yes("watch-only")) {
    if (questions_.size() != 1) {
      return make_error(Code::kBadRequest, "you may only specify a single resource type");
    }
    return watch(questions_[0]);
  }
  return output_.is_table() ? print_tables() : print_objects();
}

}  // namespace

const std::span<const FlagSpec> kGetFlags = kFlags;

Result<int> get_verb(Session& session, const Flags& flags) {
  if (flags.has("raw")) {
    TRY_ASSIGN(ApiClient * api, session.api());
    ApiAsk ask;
    ask.path = flags.text("raw");
    TRY_ASSIGN(std::string text, api->text(ask));
    print(text);
    return 0;
  }
  return Getter(session, flags).run();
}

}  // namespace knarr::kubectl
