// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func (l Layout) etcd(bin string) daemon {
	return daemon{
		name: "etcd", path: filepath.Join(bin, "etcd"),
		args: []string{
			"--name=n", "--data-dir=" + l.State("etcd", "data"), "--unsafe-no-fsync", "--log-level=warn",
			"--listen-client-urls=" + etcdURL, "--advertise-client-urls=" + etcdURL,
			"--listen-peer-urls=" + etcdPeerURL, "--initial-advertise-peer-urls=" + etcdPeerURL,
			"--initial-cluster=n=" + etcdPeerURL,
		},
		ready: l.answers(etcdURL + "/health"),
	}
}

func (l Layout) apiServer(bin string) daemon {
	return daemon{
		name: "apiserver", path: filepath.Join(bin, "kube-apiserver"),
		args: []string{
			"--etcd-servers=" + etcdURL, "--service-cluster-ip-range=" + ServiceCIDR,
			// The advertised address becomes the endpoint of Service kubernetes, so pods reach the API through it.
			"--advertise-address=" + NodeIP, "--bind-address=" + NodeIP, "--secure-port=6443", "--allow-privileged=true",
			"--client-ca-file=" + l.pki("ca.crt"),
			"--tls-cert-file=" + l.pki("apiserver.crt"), "--tls-private-key-file=" + l.pki("apiserver.key"),
			"--service-account-key-file=" + l.pki("sa.pub"), "--service-account-signing-key-file=" + l.pki("sa.key"),
			"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
			"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
			"--kubelet-client-certificate=" + l.pki("apiserver-kubelet.crt"),
			"--kubelet-client-key=" + l.pki("apiserver-kubelet.key"),
			"--kubelet-certificate-authority=" + l.pki("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
			"--requestheader-client-ca-file=" + l.pki("fp-ca.crt"), "--requestheader-allowed-names=front-proxy-client",
			"--requestheader-extra-headers-prefix=X-Remote-Extra-", "--requestheader-group-headers=X-Remote-Group",
			"--requestheader-username-headers=X-Remote-User",
			"--proxy-client-cert-file=" + l.pki("fp.crt"), "--proxy-client-key-file=" + l.pki("fp.key"),
		},
		inputs: []string{l.pki("apiserver.crt")},
		ready:  l.answers(apiServerURL + "/readyz"),
	}
}

func (l Layout) controllerManager(bin string) daemon {
	kubeconfig := l.conf("controller-manager.kubeconfig")
	return daemon{
		name: "controller-manager", path: filepath.Join(bin, "kube-controller-manager"),
		args: []string{
			"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
			"--root-ca-file=" + l.pki("ca.crt"), "--service-account-private-key-file=" + l.pki("sa.key"),
			"--use-service-account-credentials", "--leader-elect=false", "--bind-address=127.0.0.1",
			"--cluster-cidr=" + podSupernet, "--allocate-node-cidrs=false",
			"--cluster-signing-cert-file=" + l.pki("ca.crt"), "--cluster-signing-key-file=" + l.pki("ca.key"),
		},
		inputs: []string{kubeconfig},
		ready:  l.answers("https://127.0.0.1:10257/healthz"),
	}
}

func (l Layout) scheduler(bin string) daemon {
	kubeconfig := l.conf("scheduler.kubeconfig")
	return daemon{
		name: "scheduler", path: filepath.Join(bin, "kube-scheduler"),
		args: []string{
			"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
			"--leader-elect=false", "--bind-address=127.0.0.1",
		},
		inputs: []string{kubeconfig},
		ready:  l.answers("https://127.0.0.1:10259/healthz"),
	}
}

// answers asks a health endpoint with the administrator's certificate.
func (l Layout) answers(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		client, err := l.httpClient(strings.HasPrefix(url, "https://127.0.0.1:"))
		if err != nil {
			return err
		}
		defer client.CloseIdleConnections()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode != http.StatusOK {
			body, _ := io.ReadAll(io.LimitReader(response.Body, 2048))
			return fmt.Errorf("%s: %s: %s", url, response.Status, body)
		}
		return nil
	}
}

// httpClient trusts the cluster's authority. Programs on loopback serve with a certificate that they made themselves
// and nobody can verify.
func (l Layout) httpClient(loopback bool) (*http.Client, error) {
	pair, err := tls.LoadX509KeyPair(l.pki("admin.crt"), l.pki("admin.key"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(l.pki("ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("the cluster's authority is not a certificate")
	}
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, RootCAs: roots,
		InsecureSkipVerify: loopback, //nolint:gosec // only for health endpoints on loopback
	}}}, nil
}
