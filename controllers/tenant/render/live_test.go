// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"
	"k8s.io/utils/ptr"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

func policyNamed(t *testing.T, o *render.Objects, name string) *networkingv1ac.NetworkPolicySpecApplyConfiguration {
	t.Helper()
	for _, policy := range o.NetworkPolicies {
		if *policy.Name == name {
			return policy.Spec
		}
	}
	t.Fatalf("there is no NetworkPolicy %s", name)
	return nil
}

func serviceNamed(t *testing.T, o *render.Objects, name string) *corev1ac.ServiceApplyConfiguration {
	t.Helper()
	for _, service := range o.Services {
		if *service.Name == name {
			return service
		}
	}
	t.Fatalf("there is no Service %s", name)
	return nil
}

func configMapNamed(o *render.Objects, name string) *corev1ac.ConfigMapApplyConfiguration {
	for _, config := range o.ConfigMaps {
		if *config.Name == name {
			return config
		}
	}
	return nil
}

// blocks are the networks of a rule's peers, each with its exceptions: "10.0.0.0/8 -10.96.0.0/12".
func blocks(peers []networkingv1ac.NetworkPolicyPeerApplyConfiguration) []string {
	var all []string
	for _, peer := range peers {
		if peer.IPBlock == nil {
			continue
		}
		text := *peer.IPBlock.CIDR
		for _, except := range peer.IPBlock.Except {
			text += " -" + except
		}
		all = append(all, text)
	}
	return all
}

func TestWhoReachesTheGate(t *testing.T) {
	const cluster = " -10.90.0.0/16 -10.96.0.0/16 -10.244.0.0/16"
	for _, row := range []struct {
		name                  string
		network               v1alpha1.TenantNetwork
		lockdown              bool
		clients, sources      []string
		allowedList, denyList string
	}{
		{name: "open, by default", clients: []string{"0.0.0.0/0" + cluster}, sources: []string{"0.0.0.0/0"}, allowedList: "0.0.0.0/0"},
		{name: "open, but for some",
			network: v1alpha1.TenantNetwork{Access: v1alpha1.AccessOpen, DeniedRanges: []v1alpha1.CIDR{"128.0.0.0/1"}},
			clients: []string{"0.0.0.0/0" + cluster + " -128.0.0.0/1"}, sources: []string{"0.0.0.0/1"},
			allowedList: "0.0.0.0/0", denyList: "128.0.0.0/1"},
		{name: "restricted",
			network: v1alpha1.TenantNetwork{Access: v1alpha1.AccessRestricted, AllowedRanges: []v1alpha1.CIDR{"198.51.100.0/24", "192.0.2.7/32"},
				DeniedRanges: []v1alpha1.CIDR{"198.51.100.0/25"}},
			clients:     []string{"192.0.2.7/32", "198.51.100.0/24 -198.51.100.0/25"},
			sources:     []string{"192.0.2.7/32", "198.51.100.128/25"},
			allowedList: "198.51.100.0/24 192.0.2.7/32", denyList: "198.51.100.0/25"},
		{name: "everything that is allowed is denied",
			network: v1alpha1.TenantNetwork{Access: v1alpha1.AccessRestricted, AllowedRanges: []v1alpha1.CIDR{"192.0.2.0/24"},
				DeniedRanges: []v1alpha1.CIDR{"192.0.2.0/24"}},
			sources: []string{"127.0.0.1/32"}, allowedList: "192.0.2.0/24", denyList: "192.0.2.0/24"},
		{name: "closed", network: v1alpha1.TenantNetwork{Access: v1alpha1.AccessClosed}, sources: []string{"127.0.0.1/32"}},
		{name: "open, locked down", lockdown: true, sources: []string{"127.0.0.1/32"}},
		{name: "restricted, locked down", lockdown: true,
			network: v1alpha1.TenantNetwork{Access: v1alpha1.AccessRestricted, AllowedRanges: []v1alpha1.CIDR{"192.0.2.0/24"}, DeniedRanges: []v1alpha1.CIDR{"192.0.2.0/25"}},
			sources: []string{"127.0.0.1/32"}, denyList: "192.0.2.0/25"},
	} {
		t.Run(row.name, func(t *testing.T) {
			in := miniflux()
			in.Tenant.Spec.Network, in.Tenant.Spec.Lockdown = row.network, row.lockdown
			objects := mustLive(t, in)
			var clients []string
			for _, rule := range policyNamed(t, objects, meta.PolicyEdge).Ingress {
				if len(rule.From) == 0 {
					t.Error("a rule of the gate's policy names no clients, which means everyone")
				}
				clients = append(clients, blocks(rule.From)...)
			}
			equal(t, "clients in the NetworkPolicy", clients, row.clients)
			equal(t, "source ranges of the Service", serviceNamed(t, objects, meta.EdgeService).Spec.LoadBalancerSourceRanges, row.sources)
			lists := configMapNamed(objects, meta.EdgeListsConfigMap).Data
			equal(t, "networks that the gate admits", entries(lists[meta.KeyAllowedList]), strings.Fields(row.allowedList))
			equal(t, "networks that the gate refuses", entries(lists[meta.KeyDeniedList]), strings.Fields(row.denyList))
		})
	}
}

func TestWhatProvesThatTheGateServesReachesItsSecondDoorUnlessItIsLockedDown(t *testing.T) {
	for _, row := range []struct {
		name     string
		network  v1alpha1.TenantNetwork
		lockdown bool
		ports    []int
		admitted []string
	}{
		{"open", v1alpha1.TenantNetwork{}, false, []int{meta.PortAgent, meta.PortEdgeProbe}, []string{"0.0.0.0/0"}},
		{"closed", v1alpha1.TenantNetwork{Access: v1alpha1.AccessClosed}, false, []int{meta.PortAgent, meta.PortEdgeProbe}, []string{"0.0.0.0/0"}},
		{"locked down", v1alpha1.TenantNetwork{}, true, []int{meta.PortAgent}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			in := miniflux()
			in.Tenant.Spec.Network, in.Tenant.Spec.Lockdown = row.network, row.lockdown
			objects := mustLive(t, in)
			policy := policyNamed(t, objects, meta.PolicyEdge)
			from, to := policy.Ingress[len(policy.Ingress)-1], policy.Egress[len(policy.Egress)-1]
			for what, rule := range map[string]struct {
				peers []networkingv1ac.NetworkPolicyPeerApplyConfiguration
				ports []networkingv1ac.NetworkPolicyPortApplyConfiguration
			}{"in": {from.From, from.Ports}, "out": {to.To, to.Ports}} {
				var ports []int
				for _, port := range rule.ports {
					ports = append(ports, port.Port.IntValue())
				}
				if !slices.Equal(ports, row.ports) {
					t.Errorf("%s: ports %v, expected %v", what, ports, row.ports)
				}
				if len(rule.peers) != 1 || rule.peers[0].PodSelector == nil || rule.peers[0].NamespaceSelector != nil ||
					rule.peers[0].PodSelector.MatchLabels[v1alpha1.LabelPolicy] != meta.ComponentEdge {
					t.Errorf("%s: the rule speaks of others than pods with the gate's policy label in this namespace: %+v", what, rule.peers)
				}
			}
			equal(t, "who the second door admits", entries(configMapNamed(objects, meta.EdgeListsConfigMap).Data[meta.KeyProbeList]), row.admitted)
		})
	}
}

// entries are the lines of a list that HAProxy reads.
func entries(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, line)
		}
	}
	return all
}

func equal(t *testing.T, what string, has, want []string) {
	t.Helper()
	if !slices.Equal(has, want) {
		t.Errorf("%s: %q, expected %q", what, has, want)
	}
}

func TestManyDeniedRangesDoNotFloodTheLoadBalancer(t *testing.T) {
	in := miniflux()
	for i := range 8 {
		in.Tenant.Spec.Network.DeniedRanges = append(in.Tenant.Spec.Network.DeniedRanges, v1alpha1.CIDR(fmt.Sprintf("%d.7.7.7/32", 20+i*20)))
	}
	objects := mustLive(t, in)
	equal(t, "source ranges", serviceNamed(t, objects, meta.EdgeService).Spec.LoadBalancerSourceRanges, []string{"0.0.0.0/0"})
	rule := policyNamed(t, objects, meta.PolicyEdge).Ingress[0]
	if !strings.Contains(blocks(rule.From)[0], "-160.7.7.7/32") {
		t.Errorf("the NetworkPolicy lets a denied client in: %v", blocks(rule.From))
	}
}

func TestWhoReachesTheGateBehindALoadBalancer(t *testing.T) {
	const cluster = " -10.90.0.0/16 -10.96.0.0/16 -10.244.0.0/16"
	restricted := v1alpha1.TenantNetwork{Access: v1alpha1.AccessRestricted, AllowedRanges: []v1alpha1.CIDR{"198.51.100.0/24"}}
	proxy := v1alpha1.ClassLoadBalancer{ClientAddress: v1alpha1.ClientAddressProxyProtocol, ProxyRanges: []v1alpha1.CIDR{"10.90.0.16/28"},
		HealthCheckSourceRanges: []v1alpha1.CIDR{"192.0.2.0/24"}}
	checks := v1alpha1.ClassLoadBalancer{HealthCheckSourceRanges: []v1alpha1.CIDR{"192.0.2.0/24"}}
	for _, row := range []struct {
		name                     string
		network                  v1alpha1.TenantNetwork
		lockdown                 bool
		balancer                 v1alpha1.ClassLoadBalancer
		peers, sources           []string
		allowed, proxies, direct []string
	}{
		{"open", v1alpha1.TenantNetwork{}, false, proxy, []string{"10.90.0.16/28", "192.0.2.0/24"}, []string{"0.0.0.0/0"},
			[]string{"0.0.0.0/0"}, []string{"10.90.0.16/28"}, nil},
		{"restricted", restricted, false, proxy, []string{"10.90.0.16/28", "192.0.2.0/24"}, []string{"10.90.0.16/28", "192.0.2.0/24", "198.51.100.0/24"},
			[]string{"198.51.100.0/24"}, []string{"10.90.0.16/28"}, nil},
		{"closed", v1alpha1.TenantNetwork{Access: v1alpha1.AccessClosed}, false, proxy, nil, []string{"127.0.0.1/32"}, nil, nil, nil},
		{"locked down", restricted, true, proxy, nil, []string{"127.0.0.1/32"}, nil, nil, nil},
		{"restricted, addresses preserved", restricted, false, checks, []string{"198.51.100.0/24", "192.0.2.0/24"}, []string{"192.0.2.0/24", "198.51.100.0/24"},
			[]string{"198.51.100.0/24"}, nil, []string{"0.0.0.0/0"}},
		{"open, addresses preserved", v1alpha1.TenantNetwork{}, false, checks, []string{"0.0.0.0/0" + cluster, "192.0.2.0/24"}, []string{"0.0.0.0/0"},
			[]string{"0.0.0.0/0"}, nil, []string{"0.0.0.0/0"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			in := miniflux()
			in.Tenant.Spec.Network, in.Tenant.Spec.Lockdown, in.Class.Spec.LoadBalancer = row.network, row.lockdown, row.balancer
			objects := mustLive(t, in)
			var peers []string
			for _, rule := range policyNamed(t, objects, meta.PolicyEdge).Ingress {
				peers = append(peers, blocks(rule.From)...)
			}
			equal(t, "peers in the NetworkPolicy", peers, row.peers)
			gate := serviceNamed(t, objects, meta.EdgeService).Spec
			equal(t, "source ranges of the Service", gate.LoadBalancerSourceRanges, row.sources)
			if *gate.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyLocal {
				t.Error("a node puts its own address in the place of the load balancer's, which the gate has to see")
			}
			lists := configMapNamed(objects, meta.EdgeListsConfigMap).Data
			equal(t, "clients that the gate admits", entries(lists[meta.KeyAllowedList]), row.allowed)
			equal(t, "load balancers that the gate believes", entries(lists[meta.KeyProxiesList]), row.proxies)
			equal(t, "who may connect by himself", entries(lists[meta.KeyDirectList]), row.direct)
		})
	}
}

func TestWhereTheApplicationMayConnect(t *testing.T) {
	const never = " -0.0.0.0/8 -10.90.0.0/16 -10.96.0.0/16 -10.244.0.0/16 -127.0.0.0/8 -169.254.0.0/16 -224.0.0.0/4 -240.0.0.0/4"
	for _, row := range []struct {
		name string
		cidr v1alpha1.CIDR
		want []string
	}{
		{"the whole internet, not the cluster and not the node", "0.0.0.0/0", []string{"0.0.0.0/0" + never}},
		{"a private network around the cluster's", "10.0.0.0/8", []string{"10.0.0.0/8 -10.90.0.0/16 -10.96.0.0/16 -10.244.0.0/16"}},
		{"one address", "192.0.2.25/32", []string{"192.0.2.25/32"}},
		{"the metadata service of a cloud", "169.254.169.254/32", nil},
		{"the API server's Service", "10.96.0.1/32", nil},
		{"exactly the pods' network", "10.244.0.0/16", nil},
		{"loopback", "127.0.0.0/8", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			in := miniflux()
			in.Class.Spec.AllowedEgress = []v1alpha1.EgressRule{{CIDR: row.cidr, Ports: []int32{443}}}
			var opened []string
			for _, rule := range policyNamed(t, mustLive(t, in), meta.PolicyApp).Egress {
				if len(rule.To) == 0 || len(rule.Ports) == 0 {
					t.Error("a rule without peers or ports opens everything")
				}
				opened = append(opened, blocks(rule.To)...)
			}
			equal(t, "networks that the application reaches", opened, row.want)
		})
	}
}

func TestEveryPolicyPortNamesItsProtocolAndEveryPolicyBothDirections(t *testing.T) {
	for name, in := range shapes {
		for _, policy := range mustLive(t, in()).NetworkPolicies {
			if len(policy.Spec.PolicyTypes) != 2 {
				t.Errorf("%s: %s does not deny in both directions", name, *policy.Name)
			}
			for _, rule := range policy.Spec.Ingress {
				for _, port := range rule.Ports {
					if port.Protocol == nil {
						t.Errorf("%s: a port of %s leaves its protocol to the server's default", name, *policy.Name)
					}
				}
			}
			for _, rule := range policy.Spec.Egress {
				for _, port := range rule.Ports {
					if port.Protocol == nil {
						t.Errorf("%s: a port of %s leaves its protocol to the server's default", name, *policy.Name)
					}
				}
			}
		}
	}
}

func TestWallsFitTheRunningApplicationAndThePendingOne(t *testing.T) {
	in := miniflux()
	in.Running = mustRevision(t, in)
	in.Class.Spec.App.Port = 9090
	objects := mustLive(t, in)
	var ports []string
	for _, port := range policyNamed(t, objects, meta.PolicyApp).Ingress[0].Ports {
		ports = append(ports, port.Port.String())
	}
	equal(t, "ports that the gate reaches", ports, []string{"8080", "9090"})
	if target := serviceNamed(t, objects, meta.AppService).Spec.Ports[0].TargetPort.String(); target != meta.AppPortName {
		t.Errorf("the application's Service points to %s: it must follow the pod's own port by name", target)
	}
}

func TestQuotaFitsBothRevisionsDuringAnUpdate(t *testing.T) {
	hard := func(in render.Inputs) corev1.ResourceList { return *mustLive(t, in).Quota.Spec.Hard }
	small := miniflux()
	base := hard(small)
	large := miniflux()
	large.Class.Spec.App.Compute.Memory = ptr.To(resource.MustParse("1Gi"))
	pending := large
	pending.Running = mustRevision(t, small)
	shrinking := miniflux()
	shrinking.Running = mustRevision(t, large)
	for what, has := range map[string]corev1.ResourceList{"growing": hard(pending), "shrinking": hard(shrinking)} {
		more := has[corev1.ResourceLimitsMemory].DeepCopy()
		more.Sub(base[corev1.ResourceLimitsMemory])
		if more.String() != "768Mi" {
			t.Errorf("%s from 256Mi to 1Gi or back needs 768Mi more, the quota grew by %s", what, more.String())
		}
	}
	// Database, application, two gates that drain, two new ones, one more, and the reserve of four.
	if pods := base[corev1.ResourcePods]; pods.Value() != 11 {
		t.Errorf("the quota allows %s pods, expected 11", pods.String())
	}
	if ports := base[corev1.ResourceServicesNodePorts]; !ports.IsZero() {
		t.Errorf("the quota allows %s node ports; the class allocates none", ports.String())
	}
}

func TestClaimsKeepWhatKubernetesDoesNotLetThemChange(t *testing.T) {
	live := func(size, class string) *corev1.PersistentVolumeClaim {
		return &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: &class,
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}}}}
	}
	for _, row := range []struct {
		name, wantSize, wantClass string
		change                    func(*render.Inputs)
	}{
		{"a new one takes the class's", "10Gi", "", func(*render.Inputs) {}},
		{"the Tenant's size wins", "30Gi", "slow", func(in *render.Inputs) {
			in.Class.Spec.Database.Storage.StorageClassName = "slow"
			in.Tenant.Spec.Database = &v1alpha1.TenantDatabase{Storage: ptr.To(resource.MustParse("30Gi"))}
		}},
		{"one that is larger does not shrink", "50Gi", "fast", func(in *render.Inputs) {
			in.Claims = map[string]*corev1.PersistentVolumeClaim{meta.DatabaseClaim: live("50Gi", "fast")}
		}},
		{"one that is smaller grows and keeps its storage class", "10Gi", "fast", func(in *render.Inputs) {
			in.Class.Spec.Database.Storage.StorageClassName = "slow"
			in.Claims = map[string]*corev1.PersistentVolumeClaim{meta.DatabaseClaim: live("5Gi", "fast")}
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			in := miniflux()
			row.change(&in)
			spec := mustLive(t, in).Claims[0].Spec
			size := (*spec.Resources.Requests)[corev1.ResourceStorage]
			if size.String() != row.wantSize || ptr.Deref(spec.StorageClassName, "") != row.wantClass {
				t.Errorf("%s of class %q, expected %s of class %q", size.String(), ptr.Deref(spec.StorageClassName, ""), row.wantSize, row.wantClass)
			}
		})
	}
}

func TestClaimsForARestoreAreMadeLikeTheDatabasesAndOldOnesStayAsTheyAre(t *testing.T) {
	live := func(size, class string) *corev1.PersistentVolumeClaim {
		return &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: &class,
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}}}}
	}
	in := miniflux()
	in.Class.Spec.Database.Storage.StorageClassName = "of-today"
	in.DatabaseClaim, in.SpareClaims = "db-0002", []string{"db-0001", "db-0003"}
	in.Claims = map[string]*corev1.PersistentVolumeClaim{"db-0001": live("5Gi", "old"), "db-0002": live("40Gi", "fast")}
	var has []string
	for _, claim := range mustLive(t, in).Claims {
		size := (*claim.Spec.Resources.Requests)[corev1.ResourceStorage]
		has = append(has, fmt.Sprintf("%s %s %s", *claim.Name, size.String(), *claim.Spec.StorageClassName))
	}
	equal(t, "claims", has, []string{"db-0002 40Gi fast", "db-0001 5Gi old", "db-0003 40Gi fast"})
	if hard := (*mustLive(t, in).Quota.Spec.Hard)[corev1.ResourceRequestsStorage]; hard.String() != "85Gi" {
		t.Errorf("the quota has room for %s, expected all of them", hard.String())
	}
	if has := configMapNamed(mustLive(t, in), meta.InstanceConfigMap).Data[meta.KeyDatabaseClaim]; has != "db-0002" {
		t.Errorf("remembered is %s", has)
	}
}

func TestTheApplicationsVolumeStaysWantedWhenTheClassHasNoneAnyMore(t *testing.T) {
	in := miniflux()
	if claims := mustLive(t, in).Claims; len(claims) != 1 {
		t.Fatalf("%d claims for a class without a data volume", len(claims))
	}
	in.Claims = map[string]*corev1.PersistentVolumeClaim{meta.AppClaim: {Spec: corev1.PersistentVolumeClaimSpec{
		Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("3Gi")}}}}}
	claims := mustLive(t, in).Claims
	if len(claims) != 2 || (*claims[1].Spec.Resources.Requests)[corev1.ResourceStorage] != resource.MustParse("3Gi") {
		t.Errorf("the application's volume of 3Gi is not wanted any more: %d claims", len(claims))
	}
}

func TestWhatIsNotKnownYetIsNotRendered(t *testing.T) {
	in := miniflux()
	in.TrustBundle, in.SecretsHash = "", ""
	if configMapNamed(mustLive(t, in), meta.TrustConfigMap) != nil {
		t.Error("there is a trust ConfigMap before the authority is known")
	}
	in.Class.Spec.Edge.Replicas = 1
	if len(mustLive(t, in).Budgets) != 0 {
		t.Error("a disruption budget guards a gate of one pod: it could only forbid the drain of its node")
	}
}

func TestNamespaceCarriesWhatOutlivesTheTenant(t *testing.T) {
	in := miniflux()
	if annotations := mustLive(t, in).Namespace.Annotations; annotations != nil {
		t.Errorf("a new namespace has the annotations %v", annotations)
	}
	in.Retained, in.Initialized, in.BoundClaims = true, true, []string{"db-0001", "app-0001"}
	namespace := mustLive(t, in).Namespace
	if namespace.Labels[v1alpha1.LabelRetained] != "true" || namespace.Annotations[meta.AnnotationInitialized] != "true" ||
		namespace.Annotations[meta.AnnotationBoundClaims] != "app-0001,db-0001" {
		t.Errorf("labels %v, annotations %v", namespace.Labels, namespace.Annotations)
	}
}

func TestCertificates(t *testing.T) {
	secrets := func(in render.Inputs) (all []string) {
		for _, leaf := range render.Certificates(in) {
			all = append(all, leaf.Secret)
			if (len(leaf.DNSNames) == 0) != leaf.Client {
				t.Errorf("the certificate in %s is good for %v; a server's needs names, and a client's must have none", leaf.Secret, leaf.DNSNames)
			}
		}
		return all
	}
	equal(t, "plain application", secrets(miniflux()), []string{meta.DatabaseTLSSecret, meta.EdgeTLSSecret})
	equal(t, "TLS application, backed up", secrets(dex()), []string{meta.DatabaseTLSSecret, meta.EdgeTLSSecret, meta.AppTLSSecret, meta.BackupTLSSecret})
	turned := dex()
	turned.Running = mustRevision(t, dex())
	turned.Class.Spec.App.TLSPort, turned.Class.Spec.App.Port = 0, 8080
	equal(t, "TLS application that runs while its class turned to plain", secrets(turned), []string{meta.DatabaseTLSSecret, meta.EdgeTLSSecret, meta.AppTLSSecret, meta.BackupTLSSecret})
	equal(t, "database", render.Certificates(miniflux())[0].DNSNames, []string{"db.tenant-acme.svc.cluster.local",
		"db.tenant-acme.svc", "db.tenant-acme", "db-0.db.tenant-acme.svc.cluster.local"})
	equal(t, "gate", render.Certificates(miniflux())[1].DNSNames, []string{"acme.example.com", "rss.acme.example"})
}

func TestIssuer(t *testing.T) {
	class := &v1alpha1.IssuerReference{Name: "of-the-class"}
	own := &v1alpha1.IssuerReference{Name: "of-the-tenant"}
	secret := &v1alpha1.SecretReference{Name: "mine"}
	for _, row := range []struct {
		name  string
		tls   v1alpha1.TenantTLS
		class *v1alpha1.IssuerReference
		want  *v1alpha1.IssuerReference
	}{
		{"nobody names one", v1alpha1.TenantTLS{}, nil, nil},
		{"the class names one", v1alpha1.TenantTLS{}, class, class},
		{"the Tenant's wins", v1alpha1.TenantTLS{IssuerRef: own}, class, own},
		{"the Tenant's Secret wins", v1alpha1.TenantTLS{SecretRef: secret}, class, nil},
	} {
		in := miniflux()
		in.Tenant.Spec.TLS, in.Class.Spec.TLS.IssuerRef = row.tls, row.class
		if has := render.Issuer(in.Tenant, in.Class); !reflect.DeepEqual(has, row.want) {
			t.Errorf("%s: %v, expected %v", row.name, has, row.want)
		}
		if has := mustLive(t, in).Certificate; (has != nil) != (row.want != nil) {
			t.Errorf("%s: cert-manager is asked: %v", row.name, has != nil)
		}
	}
}

func TestMistakesOfUsersAreNamed(t *testing.T) {
	for _, row := range []struct {
		name, says string
		change     func(*render.Inputs)
	}{
		{"a fixed address that the class cannot ask for", "addressAnnotation", func(in *render.Inputs) { in.Tenant.Spec.Network.Address = "203.0.113.7" }},
		{"clients inside the cluster", "the cluster's own networks", func(in *render.Inputs) {
			in.Tenant.Spec.Network = v1alpha1.TenantNetwork{Access: v1alpha1.AccessRestricted, AllowedRanges: []v1alpha1.CIDR{"10.244.7.0/24"}}
		}},
		{"a range with host bits", "is not an IPv4 network", func(in *render.Inputs) { in.Tenant.Spec.Network.DeniedRanges = []v1alpha1.CIDR{"192.0.2.7/24"} }},
		{"an IPv6 range", "is not an IPv4 network", func(in *render.Inputs) {
			in.Class.Spec.AllowedEgress = []v1alpha1.EgressRule{{CIDR: "2001:db8::/32", Ports: []int32{1}}}
		}},
		{"egress to any port", "names no ports", func(in *render.Inputs) {
			in.Class.Spec.AllowedEgress = []v1alpha1.EgressRule{{CIDR: "192.0.2.0/24"}}
		}},
		{"headroom for what is not limited", "is not limited by Freehold's quota", func(in *render.Inputs) {
			in.Class.Spec.QuotaHeadroom = corev1.ResourceList{"configmaps": resource.MustParse("3")}
		}},
		{"negative headroom", "must not be negative", func(in *render.Inputs) {
			in.Class.Spec.QuotaHeadroom = corev1.ResourceList{corev1.ResourcePods: resource.MustParse("-1")}
		}},
		{"a certificate file for an application without TLS", "tlsPort", func(in *render.Inputs) {
			in.Class.Spec.App.Env = []v1alpha1.EnvVar{{Name: "CERT", Source: v1alpha1.EnvTLSCertificateFile}}
		}},
		{"Freehold's own Secret", "Freehold's own Secret", func(in *render.Inputs) {
			in.Class.Spec.App.Env = []v1alpha1.EnvVar{{Name: "CA", SecretKeyRef: &v1alpha1.SecretKeyReference{
				SecretReference: v1alpha1.SecretReference{Name: "freehold-ca"}, Key: "tls.key"}}}
		}},
		{"two things at one path", "in the place of", func(in *render.Inputs) { in.Class.Spec.App.Pod.WritablePaths = []v1alpha1.AbsolutePath{"/tmp"} }},
		{"a file where the application writes", "which the application writes to", func(in *render.Inputs) {
			in.Class.Spec.App.Files = []v1alpha1.ConfigFile{{Path: "/tmp/app.conf", Content: "x"}}
		}},
		{"files that no revision can hold", "fit into a revision", func(in *render.Inputs) {
			in.Class.Spec.App.Files = []v1alpha1.ConfigFile{{Path: "/etc/a", Content: strings.Repeat("x", 600<<10)}}
		}},
		{"a value that Kubernetes would expand", "quotes, $", func(in *render.Inputs) { in.Class.Spec.App.Env[1].Value = "$(DATABASE_URL)" }},
		{"no port", "neither port nor tlsPort", func(in *render.Inputs) { in.Class.Spec.App.Port = 0 }},
		{"no hostname", "hostnames is empty", func(in *render.Inputs) { in.Tenant.Spec.Hostnames = nil }},
	} {
		t.Run(row.name, func(t *testing.T) {
			in := miniflux()
			row.change(&in)
			_, err := render.Live(in)
			var invalid *render.InvalidError
			if !errors.As(err, &invalid) || !strings.Contains(invalid.Message, row.says) {
				t.Errorf("the error is %v, expected an InvalidError that says %q", err, row.says)
			}
		})
	}
}
