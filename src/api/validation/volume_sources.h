// Where the bytes of a volume are: the kinds of sources that pods and persistent volumes share.
// Inside src/api/validation only.
#pragma once

#include "api/validation/rules.h"

namespace knarr::api::rules {

struct VolumeSource {
  const char* member;
  void (*check)(const Value& source, const Path& path, ErrorList& errors);
};

// The member that names the source of both.
void host_path_source(const Value& source, const Path& path, ErrorList& errors);
void disk_source(const Value& source, const Path& path, ErrorList& errors);         // GCE
void block_store_source(const Value& source, const Path& path, ErrorList& errors);  // AWS
void nfs_source(const Value& source, const Path& path, ErrorList& errors);
void quobyte_source(const Value& source, const Path& path, ErrorList& errors);
void flocker_source(const Value& source, const Path& path, ErrorList& errors);
void rbd_source(const Value& source, const Path& path, ErrorList& errors);
void cephfs_source(const Value& source, const Path& path, ErrorList& errors);
void fc_source(const Value& source, const Path& path, ErrorList& errors);
void flex_source(const Value& source, const Path& path, ErrorList& errors);
void azure_file_source(const Value& source, const Path& path, ErrorList& errors);
void azure_disk_source(const Value& source, const Path& path, ErrorList& errors);
void vsphere_source(const Value& source, const Path& path, ErrorList& errors);
void photon_source(const Value& source, const Path& path, ErrorList& errors);
void portworx_source(const Value& source, const Path& path, ErrorList& errors);
void scale_io_source(const Value& source, const Path& path, ErrorList& errors);
// Of pods; those of persistent volumes name a secret in some namespace.
void iscsi_source(const Value& source, const Path& path, ErrorList& errors);
void glusterfs_source(const Value& source, const Path& path, ErrorList& errors);
void cinder_source(const Value& source, const Path& path, ErrorList& errors);
void storageos_source(const Value& source, const Path& path, ErrorList& errors);
void persistent_glusterfs_source(const Value& source, const Path& path, ErrorList& errors);
void persistent_cinder_source(const Value& source, const Path& path, ErrorList& errors);
void persistent_storageos_source(const Value& source, const Path& path, ErrorList& errors);
void persistent_azure_file_source(const Value& source, const Path& path, ErrorList& errors);
void persistent_iscsi_source(const Value& source, const Path& path, ErrorList& errors);

void no_backsteps(std::string_view text, const Path& path, ErrorList& errors);
void csi_driver_name(const Value& name, const Path& path, ErrorList& errors);

// Each of `members` that is empty is missing.
void need(const Value& source, std::initializer_list<const char*> members, const Path& path,
          ErrorList& errors);

}  // namespace knarr::api::rules
