package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// issuer signs with the key of the control plane's authority.
type issuer struct {
	cert *x509.Certificate
	key  any
	pem  []byte
}

func readIssuer(dir string) (*issuer, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key"))
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	return &issuer{pair.Leaf, pair.PrivateKey, text}, err
}

// issue returns a certificate and its key in PEM: for a client, or with an address for a server.
func (i *issuer) issue(name, group, address string) (cert, key []byte, err error) {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name, Organization: []string{group}},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if address != "" {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		template.IPAddresses = []net.IP{net.ParseIP(address)}
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, i.cert, private.Public(), i.key)
	if err != nil {
		return nil, nil, err
	}
	secret, err := x509.MarshalECPrivateKey(private)
	cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return cert, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}), err
}

// issueKeys writes what the daemons of all nodes prove themselves with.
func (s *siteState) issueKeys(authority string) error {
	i, err := readIssuer(authority)
	if err != nil {
		return err
	}
	if err := writeWhole(s.path("ca.crt"), string(i.pem)); err != nil {
		return err
	}
	for n := range s.plan.nodes {
		name := nodeName(n)
		cert, key, err := i.issue("system:node:"+name, "system:nodes", nodeAddress(n))
		if err != nil {
			return err
		}
		for file, text := range map[string][]byte{"kubelet.crt": cert, "kubelet.key": key} {
			if err := writeWhole(s.path(name, file), string(text)); err != nil {
				return err
			}
		}
		for file, user := range map[string]struct{ name, group string }{
			"kubelet.kubeconfig":    {"system:node:" + name, "system:nodes"},
			"kube-proxy.kubeconfig": {"system:kube-proxy", "system:node-proxier"},
			"policy.kubeconfig":     {"appstack-node-policy", "system:masters"},
		} {
			cert, key, err := i.issue(user.name, user.group, "")
			if err != nil {
				return err
			}
			config := clientcmdapi.NewConfig()
			config.Clusters["bench"] = &clientcmdapi.Cluster{Server: fmt.Sprintf("https://%s:%d", gateway, s.plan.port), CertificateAuthorityData: i.pem}
			config.AuthInfos["daemon"] = &clientcmdapi.AuthInfo{ClientCertificateData: cert, ClientKeyData: key}
			config.Contexts["bench"] = &clientcmdapi.Context{Cluster: "bench", AuthInfo: "daemon"}
			config.CurrentContext = "bench"
			if err := clientcmd.WriteToFile(*config, s.path(name, file)); err != nil {
				return err
			}
		}
	}
	return nil
}
