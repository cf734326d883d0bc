// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// credentials of a destination: those that the database pod archives with, and those that Jobs back up and remove with.
type credentials struct {
	// archive and manage are the Secrets' names, archiveData and manageData what they hold; nil if there is no such Secret.
	archive, manage         string
	archiveData, manageData map[string][]byte
}

func secretName(template v1alpha1.SecretNameTemplate, tenant string) string {
	return strings.ReplaceAll(string(template), "{tenant}", tenant)
}

func (r *Reconciler) loadCredentials(ctx context.Context, s *scope, d *destination) (credentials, error) {
	if d.spec.Volume != nil {
		return r.loadCertificate(ctx, s)
	}
	of := d.spec.Credentials
	c := credentials{archive: secretName(of.SecretName, s.name)}
	c.manage = c.archive
	if of.ManageSecretName != "" {
		c.manage = secretName(of.ManageSecretName, s.name)
	}
	var err error
	if c.archiveData, err = secretData(ctx, r.api, r.options.OperatorNamespace, c.archive); err != nil {
		return c, err
	}
	if c.manage == c.archive {
		c.manageData = c.archiveData
		return c, nil
	}
	c.manageData, err = secretData(ctx, r.api, r.options.OperatorNamespace, c.manage)
	return c, err
}

// loadCertificate reads what the server in front of a volume is shown, which the controller of tenants makes. Base backups
// have the volume mounted and need nothing.
func (r *Reconciler) loadCertificate(ctx context.Context, s *scope) (credentials, error) {
	c := credentials{archive: meta.ArchiveTLSSecret, manage: meta.ArchiveTLSSecret}
	secret := &corev1.Secret{}
	if err := get(ctx, r.api, types.NamespacedName{Namespace: s.namespace, Name: meta.ArchiveTLSSecret}, &secret); err != nil || secret == nil {
		return c, err
	}
	c.archiveData, c.manageData = secret.Data, secret.Data
	return c, nil
}

// secretData is what a Secret in the operator's namespace holds; nil if there is none. The operator's own Secrets are
// nobody's credentials.
func secretData(ctx context.Context, api client.Reader, namespace, name string) (map[string][]byte, error) {
	secret := &corev1.Secret{}
	err := api.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, secret)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading Secret %s/%s: %w", namespace, name, err)
	}
	if secret.Labels[v1alpha1.LabelInstance] != "" {
		return nil, nil // An instance's keys, of which a policy must not give another tenant anything.
	}
	if secret.Data == nil {
		return map[string][]byte{}, nil
	}
	return secret.Data, nil
}
