// The folder that local volumes are directories of, and whether what is there is still what was
// there: where its disk is not mounted, volumes would land on the one beneath, and what is to be
// removed would seem to be gone.
//
// When a folder is first used, a file in it, the marker, is given an id, and the node's note keeps
// which folder has which. A folder in the note whose marker is missing, or has another id, is not
// touched. Who wants it as it is all the same (a new disk) makes an empty marker: the next start
// gives that a new id. Blocking; one thread uses a folder, any may check.
#pragma once

#include <string>

#include "knarr/random.h"
#include "knarr/result.h"

namespace knarr::agent {

inline constexpr const char* kLocalRootMarker = ".knarr-local-storage";

// Makes the folder when it is new, and marks it; an error when it is not what it was.
Result<void> use_local_root(const std::string& note_path, const std::string& root, Random& random);

// An error when the folder was used before and is not what it was.
Result<void> check_local_root(const std::string& note_path, const std::string& root);

}  // namespace knarr::agent
