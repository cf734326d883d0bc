// SPDX-License-Identifier: Apache-2.0

package render

import (
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// appCertificateLife is beyond any authority's: the application's certificate lives as long as the authority. Database
// and gate reload theirs, but nothing tells somebody else's application that the file is a new one. Only the gate ever
// verifies it, by an authority that is the tenant's own.
const appCertificateLife = 100 * 365 * 24 * time.Hour

// Certificates are the leaf certificates that the tenant's own authority issues. The gate's is always among them:
// it is served where users name no other source, and until another source has given one. That of the pods that make
// base backups lets them in at the database's pgBackRest server.
func Certificates(in Inputs) []Leaf {
	leaves := []Leaf{
		{Secret: meta.DatabaseTLSSecret, CommonName: meta.ComponentDatabase, DNSNames: databaseNames(in)},
		{Secret: meta.EdgeTLSSecret, CommonName: meta.ComponentEdge, DNSNames: hostnames(in)},
	}
	if _, tls := appPort(in); tls || mountsAppCertificate(in.Running) {
		leaves = append(leaves, Leaf{Secret: meta.AppTLSSecret, CommonName: meta.ComponentApp,
			DNSNames: serviceNames(meta.AppService, in), Life: appCertificateLife})
	}
	if in.Tenant.Spec.BackupPolicyRef != nil {
		leaves = append(leaves, Leaf{Secret: meta.BackupTLSSecret, CommonName: meta.BackupClient, Client: true})
	}
	return append(leaves, repositoryCertificates(in)...)
}

// databaseNames cover the Service and the one pod behind it.
func databaseNames(in Inputs) []string {
	return append(serviceNames(meta.DatabaseService, in), meta.DatabaseStatefulSet+"-0."+databaseHost(in))
}

func serviceNames(service string, in Inputs) []string {
	short := service + "." + namespaceOf(in)
	return []string{short + ".svc." + clusterDomain(in), short + ".svc", short}
}

func hostnames(in Inputs) []string {
	names := make([]string, 0, len(in.Tenant.Spec.Hostnames))
	for _, name := range in.Tenant.Spec.Hostnames {
		names = append(names, string(name))
	}
	return names
}

func mountsAppCertificate(running *Revision) bool {
	if running == nil {
		return false
	}
	for _, volume := range running.App.Spec.Template.Spec.Volumes {
		if volume.Secret != nil && volume.Secret.SecretName != nil && *volume.Secret.SecretName == meta.AppTLSSecret {
			return true
		}
	}
	return false
}

// Issuer is the cert-manager issuer that shall make the gate's certificate: the Tenant's, else its class's; nil
// when the Tenant names a Secret or nobody names an issuer.
func Issuer(t *v1alpha1.Tenant, c *v1alpha1.TenantClass) *v1alpha1.IssuerReference {
	switch {
	case t.Spec.TLS.IssuerRef != nil:
		return t.Spec.TLS.IssuerRef
	case t.Spec.TLS.SecretRef != nil:
		return nil
	default:
		return c.Spec.TLS.IssuerRef
	}
}

// certificate asks cert-manager for the gate's certificate. It lands in a Secret of its own and is copied to the
// one that the gate mounts once it was found good.
func certificate(in Inputs) *unstructured.Unstructured {
	issuer := Issuer(in.Tenant, in.Class)
	if issuer == nil {
		return nil
	}
	names := make([]any, 0, len(in.Tenant.Spec.Hostnames))
	for _, name := range hostnames(in) {
		names = append(names, name)
	}
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "cert-manager.io/v1",
		"kind":       "Certificate",
		"spec": map[string]any{
			"secretName": meta.EdgeIssuedSecret,
			"dnsNames":   names,
			"issuerRef": map[string]any{
				"name":  issuer.Name,
				"kind":  or(issuer.Kind, "ClusterIssuer"),
				"group": or(issuer.Group, "cert-manager.io"),
			},
			"privateKey": map[string]any{"algorithm": "ECDSA", "size": int64(256), "rotationPolicy": "Always"},
		},
	}}
	object.SetName(meta.EdgeCertificate)
	object.SetNamespace(namespaceOf(in))
	object.SetLabels(labels(in, meta.ComponentEdge))
	return object
}
