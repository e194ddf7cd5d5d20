#include "server/controllers/controllers.h"

#include "server/controllers/certificates.h"
#include "server/controllers/cluster_role_aggregation.h"
#include "server/controllers/cron_job.h"
#include "server/controllers/daemon_set.h"
#include "server/controllers/deployment.h"
#include "server/controllers/disruption.h"
#include "server/controllers/endpoint_slice.h"
#include "server/controllers/endpoints.h"
#include "server/controllers/ephemeral_claims.h"
#include "server/controllers/garbage_collector.h"
#include "server/controllers/horizontal_autoscaler.h"
#include "server/controllers/job.h"
#include "server/controllers/load_balancer.h"
#include "server/controllers/local_storage.h"
#include "server/controllers/node_ipam.h"
#include "server/controllers/node_lifecycle.h"
#include "server/controllers/persistent_volume.h"
#include "server/controllers/replica_set.h"
#include "server/controllers/resource_quota.h"
#include "server/controllers/stateful_set.h"
#include "server/controllers/storage_protection.h"
#include "server/controllers/token_secret.h"

namespace knarr::server {

std::unique_ptr<ControllerHost> make_controllers(const ControllerContext& context,
                                                 ControllersOptions options) {
  auto host = std::make_unique<ControllerHost>(context);
  Discover discover = options.discover ? options.discover : Discover(builtin_deletable);
  using Flavor = ReplicaSetController::Flavor;
  host->add(std::make_unique<NamespaceController>(context, discover));
  host->add(std::make_unique<ServiceAccountController>(context));
  host->add(std::make_unique<RootCaController>(context, options.root_ca_pem));
  host->add(std::make_unique<GarbageCollector>(context, discover));
  host->add(std::make_unique<DeploymentController>(context));
  host->add(std::make_unique<ReplicaSetController>(context, Flavor::kReplicaSet));
  host->add(std::make_unique<ReplicaSetController>(context, Flavor::kReplicationController));
  host->add(std::make_unique<StatefulSetController>(context));
  host->add(std::make_unique<DaemonSetController>(context));
  host->add(std::make_unique<JobController>(context));
  host->add(std::make_unique<TtlAfterFinishedController>(context));
  host->add(std::make_unique<EndpointSliceController>(context));
  host->add(std::make_unique<EndpointsController>(context));
  host->add(std::make_unique<EndpointSliceMirroringController>(context));
  host->add(std::make_unique<CronJobController>(context));
  host->add(std::make_unique<NodeIpamController>(
      context, NodeIpamController::Options{options.cluster_cidr, options.node_cidr_bits_v4,
                                           options.node_cidr_bits_v6}));
  host->add(std::make_unique<NodeLifecycleController>(context, options.node_grace_ms));
  host->add(std::make_unique<TaintEvictionController>(context));
  host->add(std::make_unique<PodGcController>(context));
  host->add(std::make_unique<DisruptionController>(context));
  host->add(std::make_unique<VolumeController>(context));
  host->add(std::make_unique<ProtectionController>(context, claim_protection()));
  host->add(std::make_unique<ProtectionController>(context, volume_protection()));
  host->add(std::make_unique<ProtectionController>(context, attributes_class_protection()));
  host->add(std::make_unique<EphemeralVolumeController>(context));
  host->add(std::make_unique<ResourceClaimController>(context));
  host->add(std::make_unique<ResourceQuotaController>(context, discover));
  host->add(std::make_unique<HorizontalAutoscaler>(context, discover, options.metrics));
  host->add(std::make_unique<ClusterRoleAggregation>(context));
  host->add(std::make_unique<CertificateApprover>(context, options.server_names));
  host->add(std::make_unique<CertificateSigner>(context, options.ca));
  host->add(std::make_unique<CertificateCleaner>(context));
  if (options.load_balancer) {
    host->add(std::make_unique<LoadBalancerController>(context, options.taken_ports,
                                                       options.taken_udp_ports));
  }
  host->add(std::make_unique<LocalStorageController>(context, options.local_storage));
  if (options.tokens != nullptr) {
    host->add(
        std::make_unique<TokenSecretController>(context, *options.tokens, options.root_ca_pem));
  }
  return host;
}

}  // namespace knarr::server
