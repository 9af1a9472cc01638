package main

import (
	"fmt"
	"runtime"
)

const (
	containerdSocket = "/run/containerd/containerd.sock"
	policyHealthPort = 20244
	volumesDir       = "/var/lib/volumes" // the same on every node, as a network disk would be
	pauseImage       = "appstack.test/pause:1"
	// What a node says it has, as the simulated ones do: tests in parallel are not to compete for it.
	claimedCPUs = 64
	claimedKiB  = 256 << 20
)

func architecture() string { return runtime.GOARCH }

// command is how a daemon is started; nil if there is none of that name.
func (m *machineState) command(daemon string) []string {
	switch daemon {
	case "containerd":
		return []string{"containerd", "--config", "/var/lib/containerd.toml"}
	case "kubelet":
		return []string{
			"kubelet", "--config=/var/lib/kubelet/config.yaml", "--kubeconfig=" + m.file("kubelet.kubeconfig"),
			"--hostname-override=" + m.name, "--node-ip=" + nodeAddress(m.index),
			"--root-dir=/var/lib/kubelet", "--cert-dir=/var/lib/kubelet/pki",
		}
	case "kube-proxy":
		return []string{"kube-proxy", "--config=/var/lib/kube-proxy.yaml"}
	case "policy":
		return []string{
			program, "policy", "--kubeconfig=" + m.file("policy.kubeconfig"), "--hostname-override=" + m.name,
			"--run-firewall=true", "--run-router=false", "--run-service-proxy=false", "--run-loadbalancer=false",
			"--service-cluster-ip-range=" + serviceRange, "--iptables-sync-period=30s", "--cache-sync-timeout=1m",
			fmt.Sprintf("--health-port=%d", policyHealthPort), "--metrics-port=0", "-v=1",
		}
	}
	return nil
}

// configuration is the text of each file that the daemons read.
func (m *machineState) configuration() map[string]string {
	return map[string]string{
		"/var/lib/cni.d/10-bridge.conflist": fmt.Sprintf(`{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "isDefaultGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": %q}]]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}
]}
`, podCIDR(m.index)),
		// What the machine may lack: loadable snapshotters, AppArmor, the right to lower an OOM score.
		"/var/lib/containerd.toml": fmt.Sprintf(`version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.opt"]
[grpc]
  address = %q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  disable_apparmor = true
  restrict_oom_score_adj = true
  # As Docker does, and containerd 2 by itself.
  enable_unprivileged_ports = true
  enable_unprivileged_icmp = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = "/var/lib/cni.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
`, containerdSocket, pauseImage, cniDir()),
		"/var/lib/kubelet/resolv.conf": "search .\n",
		// The thresholds: both nodes report the whole machine, and its disk may be nearly full.
		"/var/lib/kubelet/config.yaml": fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /%s
containerRuntimeEndpoint: unix://%s
clusterDNS: [%s]
clusterDomain: cluster.local
resolvConf: /var/lib/kubelet/resolv.conf
volumePluginDir: /var/lib/kubelet/plugins
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true, cacheTTL: 5s}
  x509: {clientCAFile: %s}
authorization: {mode: Webhook}
tlsCertFile: %s
tlsPrivateKeyFile: %s
failSwapOn: false
serializeImagePulls: false
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 50Mi, nodefs.available: "0%%", nodefs.inodesFree: "0%%", imagefs.available: "0%%", imagefs.inodesFree: "0%%"}
nodeStatusUpdateFrequency: 2s
nodeLeaseDurationSeconds: 10
syncFrequency: 10s
volumeStatsAggPeriod: 10s
maxPods: 240
kubeAPIQPS: 100
kubeAPIBurst: 200
registryPullQPS: 0
eventRecordQPS: 0
readOnlyPort: 0
logging: {verbosity: 2}
`, m.cgroup(m.name), containerdSocket, clusterDNS, m.path("ca.crt"), m.file("kubelet.crt"), m.file("kubelet.key")),
		"/var/lib/kube-proxy.yaml": fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: %s
detectLocalMode: ClusterCIDR
hostnameOverride: %s
clientConnection: {kubeconfig: %s}
conntrack: {maxPerCore: 0, min: 0} # the whole machine's
nftables: {minSyncPeriod: 100ms, syncPeriod: 30s}
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
`, podRange, m.name, m.file("kube-proxy.kubeconfig")),
	}
}
