// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// Ask asks a Tenant's archiver how far the archive is now.
type Ask func(context.Context, *v1alpha1.Tenant) (*engine.Report, error)

// AskNow makes an Ask that reads the archiver's token and authority from the API server: for those who ask seldom.
func AskNow(live client.Reader, options Options) Ask {
	options = options.withDefaults()
	return func(ctx context.Context, tenant *v1alpha1.Tenant) (*engine.Report, error) {
		keys, trust := &corev1.Secret{}, &corev1.ConfigMap{}
		err := errors.Join(
			live.Get(ctx, types.NamespacedName{Namespace: options.OperatorNamespace, Name: meta.BackupKeysSecret(tenant.Status.InstanceID)}, keys),
			live.Get(ctx, types.NamespacedName{Namespace: tenant.Status.Namespace, Name: meta.TrustConfigMap}, trust))
		if err != nil {
			return nil, fmt.Errorf("reading with what the archiver of Tenant %s is asked: %w", tenant.Name, err)
		}
		report, err := options.Ask(ctx, meta.DatabaseHost(tenant.Status.Namespace, options.ClusterDomain), string(keys.Data[meta.KeyStatusToken]), []byte(trust.Data[meta.KeyCACert]))
		return &report, err
	}
}
