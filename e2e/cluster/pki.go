package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const administrators = "system:masters"

// authority signs all certificates of one cluster.
type authority struct {
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	serial int64
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	a := &authority{key: key}
	template := a.template("appstack-cluster")
	template.KeyUsage |= x509.KeyUsageCertSign
	template.IsCA, template.BasicConstraintsValid = true, true
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	a.cert, err = x509.ParseCertificate(der)
	return a, err
}

func (a *authority) template(name string, groups ...string) *x509.Certificate {
	a.serial++
	return &x509.Certificate{
		SerialNumber: big.NewInt(a.serial),
		Subject:      pkix.Name{CommonName: name, Organization: groups},
		// The machine's clock may be set back a little while the cluster runs.
		NotBefore: time.Now().Add(-time.Hour),
		NotAfter:  time.Now().AddDate(1, 0, 0),
		KeyUsage:  x509.KeyUsageDigitalSignature,
	}
}

// issue returns a certificate and a new key for it, both in PEM.
func (a *authority) issue(template *x509.Certificate) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	key, err = keyPEM(private)
	return certPEM(der), key, err
}

func (a *authority) issueClient(name string, groups ...string) (cert, key []byte, err error) {
	t := a.template(name, groups...)
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.issue(t)
}

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), err
}

// writeKeys writes what the API server and the controller manager read as files.
func (c *cluster) writeKeys(a *authority) error {
	server := a.template("kube-apiserver")
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	server.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 96, 0, 1)}
	server.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
	if c.address != "" {
		server.IPAddresses = append(server.IPAddresses, net.ParseIP(c.address))
	}
	serverCert, serverKey, err := a.issue(server)
	if err != nil {
		return err
	}
	// What the API server presents to aggregated API servers.
	proxyCert, proxyKey, err := a.issueClient("front-proxy-client")
	if err != nil {
		return err
	}
	// What it presents to kubelets.
	kubeletCert, kubeletKey, err := a.issueClient("kube-apiserver-kubelet-client", administrators)
	if err != nil {
		return err
	}
	authorityKey, err := keyPEM(a.key)
	if err != nil {
		return err
	}
	_, tokenKey, err := a.issueClient("service-accounts") // only the key is used
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		"ca.crt": certPEM(a.cert.Raw), "ca.key": authorityKey,
		"server.crt": serverCert, "server.key": serverKey,
		"front-proxy.crt": proxyCert, "front-proxy.key": proxyKey,
		"kubelet-client.crt": kubeletCert, "kubelet-client.key": kubeletKey,
		"service-accounts.key": tokenKey,
	} {
		if err := os.WriteFile(c.path("pki", name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// writeKubeconfig makes a file that is complete in itself, for a user in the administrators' group.
func (c *cluster) writeKubeconfig(path string, a *authority, server, user string) error {
	cert, key, err := a.issueClient(user, administrators)
	if err != nil {
		return err
	}
	config := clientcmdapi.NewConfig()
	config.Clusters[c.name] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: certPEM(a.cert.Raw)}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: cert, ClientKeyData: key}
	config.Contexts[c.name] = &clientcmdapi.Context{Cluster: c.name, AuthInfo: user}
	config.CurrentContext = c.name
	return clientcmd.WriteToFile(*config, path)
}
