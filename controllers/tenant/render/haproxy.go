// SPDX-License-Identifier: Apache-2.0

package render

import (
	_ "embed"
	"fmt"
	"maps"
	"strings"
	"text/template"

	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

//go:embed haproxy.cfg.tmpl
var haproxyText string

var haproxyTemplate = template.Must(template.New(meta.KeyHAProxyConf).Option("missingkey=error").Parse(haproxyText))

// haproxyValues fill the template. Nothing in them is free text of a user: numbers, names of ours, and DNS names
// built from the Tenant's name. What users write (hostnames, networks) stands in lists beside the configuration.
type haproxyValues struct {
	MaxConnections, TotalConnections int32
	Threads                          int64
	MinTLS                           string
	HSTSMaxAge                       int32
	RequestSeconds                   int32
	StatsSocket, TLSDir, ListsDir    string
	CertFile, KeyFile, CAFile        string
	Port, ProbePort                  int
	HealthPort, PublicPort           int
	HostsList, AllowedList           string
	DeniedList, ProbeList            string
	ProxiesList, DirectList          string
	Logins                           *loginValues
	AppHost                          string
	AppPort                          int
	AppTLS                           bool
}

// edgeConfigMap holds HAProxy's configuration.
func edgeConfigMap(in Inputs) *corev1ac.ConfigMapApplyConfiguration {
	data := map[string]string{meta.KeyHAProxyConf: haproxyConf(in)}
	if logins := in.Class.Spec.Edge.Logins; logins != nil {
		maps.Copy(data, loginLists(logins))
	}
	return immutableConfigMap(in, meta.ComponentEdge, data)
}

// healthConnections are kept free for the kubelet: a gate that is full is not broken.
const healthConnections = 100

// What the gate's memory is for, measured with HAProxy 3.0 and TLS 1.3: the process takes 24 MiB and the agent beside
// it up to as much; a connection over HTTP/2 takes 39 KiB while it is idle. Connections that are all busy at once take
// more; the gate of a class that expects this needs more memory than the least.
const (
	gateMemory       = 48 * mib
	connectionMemory = 40 * kib
)

// checkGate refuses more connections than the gate's memory holds: a client that opens them all would have the gate
// killed.
func checkGate(in Inputs) error {
	may, connections := edgeLimits(in), int64(or(in.Class.Spec.Edge.MaxConnections, defaultMaxConnections))
	if most := max(0, (may.memory.Value()-gateMemory)/connectionMemory); connections > most {
		needed := (gateMemory + connections*connectionMemory + mib - 1) / mib
		return invalid("class %s: spec.edge.maxConnections %d need a spec.edge.compute.memory of at least %dMi; the %s of today hold %d connections",
			in.Class.Name, connections, needed, may.memory.String(), most)
	}
	return nil
}

func haproxyConf(in Inputs) string {
	class := in.Class.Spec.Edge
	connections := or(class.MaxConnections, defaultMaxConnections)
	may := edgeLimits(in)
	_, tls := appPort(in)
	values := haproxyValues{
		MaxConnections: connections, TotalConnections: connections + healthConnections,
		// HAProxy would start a thread for each of the node's processors, whatever the container may use.
		Threads:        clamp((may.cpu.MilliValue()+999)/1000, 1, 64),
		MinTLS:         minTLS(in.Tenant.Spec.TLS.MinVersion),
		HSTSMaxAge:     hstsMaxAge(in.Class),
		RequestSeconds: or(class.MaxRequestSeconds, defaultRequestSeconds),
		StatsSocket:    meta.HAProxyStatsSocket, TLSDir: meta.TLSDir, ListsDir: meta.ListsDir,
		CertFile: meta.KeyTLSCert, KeyFile: meta.KeyTLSKey, CAFile: meta.TrustDir + "/" + meta.KeyCACert,
		Port: meta.PortEdge, ProbePort: meta.PortEdgeProbe, HealthPort: meta.PortEdgeHealth, PublicPort: meta.PortPublic,
		HostsList: meta.KeyHostsList, AllowedList: meta.KeyAllowedList, DeniedList: meta.KeyDeniedList, ProbeList: meta.KeyProbeList,
		ProxiesList: meta.KeyProxiesList, DirectList: meta.KeyDirectList, Logins: loginSettings(class.Logins),
		AppHost: appHost(in), AppPort: meta.PortAppService, AppTLS: tls,
	}
	var text strings.Builder
	if err := haproxyTemplate.Execute(&text, values); err != nil {
		panic(fmt.Errorf("haproxy.cfg: %w", err)) // The template and its values are both part of the program.
	}
	return text.String()
}

// minTLS is one of two words, whatever the API let through.
func minTLS(version v1alpha1.TLSVersion) string {
	if version == v1alpha1.TLSv13 {
		return "TLSv1.3"
	}
	return "TLSv1.2"
}
