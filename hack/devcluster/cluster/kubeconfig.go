// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"os"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// ensureKubeconfigs writes one self-contained kubeconfig per certificate that talks to the API server.
func (l Layout) ensureKubeconfigs() error {
	files := map[string]string{
		"admin": l.Kubeconfig(), "controller-manager": l.conf("controller-manager.kubeconfig"),
		"scheduler": l.conf("scheduler.kubeconfig"), "proxy": l.conf("proxy.kubeconfig"),
		"kubelet": l.conf("kubelet.kubeconfig"),
	}
	for identity, path := range files {
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if err := l.writeKubeconfig(identity, path); err != nil {
			return fmt.Errorf("kubeconfig for %s: %w", identity, err)
		}
	}
	return nil
}

func (l Layout) writeKubeconfig(identity, path string) error {
	var content [3][]byte
	for i, file := range []string{"ca.crt", identity + ".crt", identity + ".key"} {
		var err error
		if content[i], err = os.ReadFile(l.pki(file)); err != nil {
			return err
		}
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["devcluster"] = &clientcmdapi.Cluster{Server: apiServerURL, CertificateAuthorityData: content[0]}
	config.AuthInfos[identity] = &clientcmdapi.AuthInfo{ClientCertificateData: content[1], ClientKeyData: content[2]}
	config.Contexts["devcluster"] = &clientcmdapi.Context{Cluster: "devcluster", AuthInfo: identity}
	config.CurrentContext = "devcluster"
	return clientcmd.WriteToFile(*config, path)
}

// client talks to the cluster as its administrator.
func (l Layout) client() (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", l.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("no usable kubeconfig; is the cluster up? %w", err)
	}
	return kubernetes.NewForConfig(config)
}
