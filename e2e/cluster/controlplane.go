package main

import (
	"fmt"
	"os"
)

// Users, responses and user agents of all requests, one line each; a watch has a second line when it ends.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

// writeConfiguration writes all files that the programs read.
func (c *cluster) writeConfiguration(port int) error {
	for _, dir := range []string{"pki", "logs"} {
		if err := os.MkdirAll(c.path(dir), 0o700); err != nil {
			return err
		}
	}
	texts := map[string]string{c.path("audit-policy.yaml"): auditPolicy}
	if c.address == "" {
		stages, err := renderStages()
		if err != nil {
			return err
		}
		texts[c.stagesFile()] = stages
	}
	for path, text := range texts {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	a, err := newAuthority()
	if err != nil {
		return err
	}
	if err := c.writeKeys(a); err != nil {
		return err
	}
	server := fmt.Sprintf("https://127.0.0.1:%d", port)
	for file, user := range map[string]string{
		"kubeconfig":                         "admin",
		"kube-controller-manager.kubeconfig": "system:kube-controller-manager",
		"kube-scheduler.kubeconfig":          "system:kube-scheduler",
		"kwok.kubeconfig":                    "kwok",
	} {
		if err := c.writeKubeconfig(c.path(file), a, server, user); err != nil {
			return err
		}
	}
	return nil
}

// startServers starts etcd and the API server. Only the API server has a port that others must know. All paths are
// relative to the state directory, which also keeps that of the socket below the limit of 107 characters.
func (c *cluster) startServers(port int) error {
	err := c.start("etcd",
		"--name=cluster", "--data-dir=etcd", "--log-level=warn",
		"--unsafe-no-fsync", // the data need not outlive the machine
		"--listen-client-urls=unix://etcd.sock",
		"--advertise-client-urls=http://127.0.0.1:0", // a socket is refused here; nobody asks
		"--listen-peer-urls=http://127.0.0.1:0", "--initial-advertise-peer-urls=http://127.0.0.1:0",
		"--initial-cluster=cluster=http://127.0.0.1:0",
		"--heartbeat-interval=20", "--election-timeout=200", // electing itself is most of its start
	)
	if err != nil {
		return err
	}
	reach := []string{
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
		"--endpoint-reconciler-type=none", // a loopback address is not allowed as an endpoint
	}
	if c.address != "" {
		reach = []string{
			"--bind-address=0.0.0.0", "--advertise-address=" + c.address, "--endpoint-reconciler-type=lease",
			"--kubelet-preferred-address-types=InternalIP", "--kubelet-certificate-authority=pki/ca.crt",
			"--kubelet-client-certificate=pki/kubelet-client.crt", "--kubelet-client-key=pki/kubelet-client.key",
			"--enable-aggregator-routing=true", // no kube-proxy where the API server is
			// Tests steer pods by one; see e2e/src/steered.rs.
			"--feature-gates=MutatingAdmissionPolicy=true", "--runtime-config=admissionregistration.k8s.io/v1beta1=true",
		}
	}
	return c.start("kube-apiserver", append(reach,
		"--etcd-servers=unix://etcd.sock",
		fmt.Sprintf("--secure-port=%d", port),
		"--tls-cert-file=pki/server.crt", "--tls-private-key-file=pki/server.key", "--client-ca-file=pki/ca.crt",
		"--service-account-key-file=pki/service-accounts.key",
		"--service-account-signing-key-file=pki/service-accounts.key",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-cluster-ip-range=10.96.0.0/16",
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement", "--allow-privileged=true",
		"--requestheader-client-ca-file=pki/ca.crt", "--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=pki/front-proxy.crt", "--proxy-client-key-file=pki/front-proxy.key",
		"--audit-policy-file=audit-policy.yaml", "--audit-log-path="+c.auditLog(), "--audit-log-mode=blocking",
		"--audit-log-maxsize=1000000", // MB: it is never rotated under the eyes of a test that reads it
		"--profiling=false", "--shutdown-delay-duration=0s",
	)...)
}

// startControllers starts what acts on the objects. None of them listens: their health shows in what they do.
func (c *cluster) startControllers() error {
	patience := []string{
		"--horizontal-pod-autoscaler-sync-period=1s", "--horizontal-pod-autoscaler-downscale-stabilization=5s",
	}
	if c.address != "" {
		patience = []string{
			"--node-monitor-grace-period=12s", // a kubelet tells of itself every 2 s
			"--horizontal-pod-autoscaler-sync-period=3s", "--horizontal-pod-autoscaler-downscale-stabilization=15s",
			"--horizontal-pod-autoscaler-initial-readiness-delay=3s", "--horizontal-pod-autoscaler-cpu-initialization-period=5s",
		}
	}
	err := c.start("kube-controller-manager", append(patience,
		"--kubeconfig=kube-controller-manager.kubeconfig", "--secure-port=0",
		"--service-account-private-key-file=pki/service-accounts.key", "--root-ca-file=pki/ca.crt",
		"--cluster-signing-cert-file=pki/ca.crt", "--cluster-signing-key-file=pki/ca.key",
		"--leader-elect=false", "--use-service-account-credentials=false", "--profiling=false",
		"--kube-api-qps=300", "--kube-api-burst=600", "--min-resync-period=12h",
	)...)
	if err != nil {
		return err
	}
	err = c.start("kube-scheduler",
		"--kubeconfig=kube-scheduler.kubeconfig", "--secure-port=0",
		"--leader-elect=false", "--profiling=false", "--kube-api-qps=300", "--kube-api-burst=600",
	)
	if err != nil {
		return err
	}
	if c.address != "" {
		return nil
	}
	return c.start("kwok",
		"--kubeconfig=kwok.kubeconfig", "--config=stages.yaml", "--manage-all-nodes=true",
		"--cidr=10.244.0.0/16", "--node-ip=127.0.0.1", "--node-lease-duration-seconds=40",
	)
}
