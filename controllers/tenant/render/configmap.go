// SPDX-License-Identifier: Apache-2.0

package render

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// liveConfigMaps reach running pods without a restart.
func liveConfigMaps(in Inputs, balancers balancers) []*corev1ac.ConfigMapApplyConfiguration {
	made := []*corev1ac.ConfigMapApplyConfiguration{instanceConfigMap(in), edgeListsConfigMap(in, balancers)}
	if in.TrustBundle != "" {
		made = append(made, trustConfigMap(in))
	}
	return made
}

// trustConfigMap holds the authority that the tenant's pods trust each other by; it may hold several generations.
func trustConfigMap(in Inputs) *corev1ac.ConfigMapApplyConfiguration {
	made := corev1ac.ConfigMap(meta.TrustConfigMap, namespaceOf(in)).WithLabels(labels(in, "")).
		WithData(map[string]string{meta.KeyCACert: in.TrustBundle})
	if in.SecretsHash != "" {
		made.WithAnnotations(map[string]string{meta.AnnotationSecretsHash: in.SecretsHash})
	}
	return made
}

// instanceConfigMap tells the database pod whose volume it must find, whether it may make a new cluster, and what is to
// become of its write-ahead log. For the
// operator it remembers where in the cluster the data is.
func instanceConfigMap(in Inputs) *corev1ac.ConfigMapApplyConfiguration {
	made := corev1ac.ConfigMap(meta.InstanceConfigMap, namespaceOf(in)).
		WithLabels(labels(in, meta.ComponentDatabase)).
		WithData(map[string]string{
			meta.KeyInstanceID:  in.InstanceID,
			meta.KeyInitialized: strconv.FormatBool(in.Initialized),
			meta.KeyArchiving:   archiving(in),

			meta.KeyInstanceDatabase: databaseName(in),
			meta.KeyInstanceUser:     databaseUser(in),
			meta.KeyDatabaseClaim:    databaseClaim(in),
		})
	if keepsFiles(in) {
		made.WithData(map[string]string{meta.KeyAppClaim: appClaim(in)})
	}
	return made
}

// edgeListsConfigMap are the lists that HAProxy reads beside its configuration: hostnames and client networks.
func edgeListsConfigMap(in Inputs, balancers balancers) *corev1ac.ConfigMapApplyConfiguration {
	made := corev1ac.ConfigMap(meta.EdgeListsConfigMap, namespaceOf(in)).
		WithLabels(labels(in, meta.ComponentEdge)).
		WithData(map[string]string{
			meta.KeyHostsList:   list("hostnames that the gate answers for", hostnames(in)),
			meta.KeyAllowedList: list("client networks that may connect", allowedList(in)),
			meta.KeyDeniedList:  list("client networks that may not connect", cidrStrings(in.Tenant.Spec.Network.DeniedRanges)),
			meta.KeyProbeList:   list("who may connect at the second door, of those that the walls let reach it", probeList(in)),
			meta.KeyProxiesList: list("load balancers that say for whom they connect", prefixStrings(balancers.proxies)),
			meta.KeyDirectList:  list("who may connect without a load balancer that says so", directList(in)),
		})
	if in.GateCertificate != "" {
		made.WithAnnotations(map[string]string{meta.AnnotationGateCertificate: in.GateCertificate})
	}
	return made.WithAnnotations(map[string]string{
		meta.AnnotationListsHurried: or(in.ListsHurried, Hurried(made, HurryRounds)),
	})
}

// HurryRounds is how often the gate's pods are told of new lists. The kubelet hears of pods and of ConfigMaps by ways
// of their own: the first time it may look before it has the new lists.
const HurryRounds = 2

// Hurried is the mark that the gate's pods were told of the lists, and of the certificate beside them, for the given
// time: a hash of both, and the round.
func Hurried(lists *corev1ac.ConfigMapApplyConfiguration, round int) string {
	raw, err := json.Marshal([]any{lists.Data, lists.Annotations[meta.AnnotationGateCertificate]})
	if err != nil {
		panic(err) // A map of strings always encodes.
	}
	return fmt.Sprintf("%s-%d", contentHash(raw), round)
}

func allowedList(in Inputs) []string {
	switch access(in) {
	case v1alpha1.AccessOpen:
		return []string{everyone.String()}
	case v1alpha1.AccessRestricted:
		return cidrStrings(in.Tenant.Spec.Network.AllowedRanges)
	default:
		return nil
	}
}

// probeList leaves the second door open while access is Closed: TLS can still be proven. Lockdown means everybody.
func probeList(in Inputs) []string {
	if in.Tenant.Spec.Lockdown {
		return nil
	}
	return []string{everyone.String()}
}

func cidrStrings(ranges []v1alpha1.CIDR) []string {
	texts := make([]string, 0, len(ranges))
	for _, network := range ranges {
		texts = append(texts, string(network))
	}
	return texts
}

// list is the text of an HAProxy pattern file: one entry a line, below a comment, so that it is never empty.
func list(title string, entries []string) string {
	return "# " + title + "\n" + strings.Join(append(entries, ""), "\n")
}

// immutableConfigMap is named after its data: what pods of one revision mount never changes under them.
func immutableConfigMap(in Inputs, component string, data map[string]string) *corev1ac.ConfigMapApplyConfiguration {
	raw, err := json.Marshal(data)
	if err != nil {
		panic(err) // A map of strings always encodes.
	}
	return corev1ac.ConfigMap("freehold-"+component+"-"+contentHash(raw), namespaceOf(in)).
		WithLabels(labels(in, component)).WithImmutable(true).WithData(data)
}
