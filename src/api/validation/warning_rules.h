// The parts of the kinds' warnings that several kinds share. Inside src/api/validation only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/validation/errors.h"

namespace knarr::api::rules {

using Warnings = std::vector<std::string>;

// "field: sentence"
void warn(const Path& path, std::string_view sentence, Warnings& warnings);

// A pod when `in_template` is false; `path` is empty or the template's.
void pod_warnings(const json::Value& pod, const Path& path, bool in_template, Warnings& warnings);
// Volumes that put two files in one place.
void volume_path_warnings(const json::Value& volumes, Warnings& warnings);
void claim_spec_warnings(const json::Value& spec, const Path& path, Warnings& warnings);

// What to use instead of a node's label; empty when it is a good one.
std::string_view deprecated_node_label(std::string_view key);
// `values`: whether they are looked at, too.
void node_term_warnings(const json::Value& term, bool values, const Path& path, Warnings& warnings);
// Addresses and blocks that are not written the one usual way.
void ip_warnings(std::string_view ip, const Path& path, Warnings& warnings);
void cidr_warnings(std::string_view cidr, const Path& path, Warnings& warnings);
// A certificate and its private key (PEM) that no server could use; empty when they are fine.
std::string key_pair_problem(const std::string& certificate, const std::string& key);

// "[a b]", as Go prints a list.
std::string go_list(const std::vector<std::string>& list);

}  // namespace knarr::api::rules
