// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/freehold-dev/freehold/controllers"
	"github.com/freehold-dev/freehold/controllers/backup"
	"github.com/freehold-dev/freehold/controllers/probe"
	"github.com/freehold-dev/freehold/controllers/tenant"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

// managerFlags are the flags of `freehold manager`.
type managerFlags struct {
	clusterDomain     string
	clusterNetworks   []string
	dnsNamespace      string
	dnsPodLabels      map[string]string
	dnsAddresses      []string
	databaseImage     string
	edgeImage         string
	pullPolicy        string
	tenantClusterRole string
	auditInterval     time.Duration
	verifications     int
	evidenceInterval  time.Duration
	asideInterval     time.Duration
	probeInterval     time.Duration
	probeOutside      []string
	probePoints       []string
	tolerateNoWalls   bool
	concurrency       int
	leaderElect       bool
	metricsAddress    string
	metricsSecure     bool
	probeAddress      string
	development       bool
}

func managerCommand() *cobra.Command {
	var f managerFlags
	cmd := &cobra.Command{
		Use:   "manager",
		Short: "Run the operator",
		Long: `Run the operator. Its own namespace and service account come from the environment variables POD_NAMESPACE
and SERVICE_ACCOUNT, which the Deployment sets through the downward API.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runManager(ctrl.SetupSignalHandler(), f) },
	}
	f.bind(cmd.Flags())
	return cmd
}

func (f *managerFlags) bind(flags *pflag.FlagSet) {
	flags.StringVar(&f.clusterDomain, "cluster-domain", "cluster.local", "domain that ends the cluster's DNS names")
	flags.StringSliceVar(&f.clusterNetworks, "cluster-networks", nil, "networks (CIDR) of pods, services and nodes: no tenant's application may connect to them, and nothing in them is a client of a gate")
	flags.StringVar(&f.dnsNamespace, "dns-namespace", "kube-system", "namespace of the pods that answer DNS queries")
	flags.StringToStringVar(&f.dnsPodLabels, "dns-pod-labels", map[string]string{"k8s-app": "kube-dns"}, "labels of the pods that answer DNS queries")
	flags.StringSliceVar(&f.dnsAddresses, "dns-addresses", nil, "addresses or networks that answer DNS queries beside those pods, such as a node-local cache")
	flags.StringVar(&f.databaseImage, "postgres-image", "", "image of the database, for classes that name none (required)")
	flags.StringVar(&f.edgeImage, "edge-image", "", "image of the gate, for classes that name none (required)")
	flags.StringVar(&f.pullPolicy, "image-pull-policy", string(corev1.PullIfNotPresent), "pull policy of both: Always, IfNotPresent or Never")
	flags.StringVar(&f.tenantClusterRole, "tenant-cluster-role", "freehold-tenant", "ClusterRole that the operator binds itself to in each tenant's namespace")
	flags.DurationVar(&f.auditInterval, "audit-interval", 10*time.Minute, "how often each tenant's Secrets are looked at")
	flags.DurationVar(&f.asideInterval, "backup-aside-interval", 15*time.Minute, "how often a backup destination that is set aside, since it did not take the write-ahead log, is tried again")
	flags.DurationVar(&f.evidenceInterval, "backup-evidence-interval", 15*time.Minute, "how often the status of a Tenant whose backups are well is brought up to date with how far the archives are")
	flags.IntVar(&f.verifications, "concurrent-verifications", 2, "how many backups are restored at a time in the whole fleet, to prove them")
	flags.DurationVar(&f.probeInterval, "probe-interval", 10*time.Minute, "how often each tenant's walls and encryption are put to the proof; evidence counts for three times as long; 0 proves nothing")
	flags.StringSliceVar(&f.probeOutside, "probe-outside", nil, "addresses (IPv4:port) beyond the cluster that the operator reaches and no tenant may: their walls are proven against these, too")
	flags.StringSliceVar(&f.probePoints, "probe-points", nil, "probe points outside the cluster (freehold agent point), as ADDRESS=URL, such as 198.51.100.9=http://198.51.100.9:9445: they tell whether gates let their address in")
	flags.BoolVar(&f.tolerateNoWalls, "tolerate-missing-walls", false, "let pods of tenants start where no NetworkPolicy is enforced")
	flags.IntVar(&f.concurrency, "concurrency", 8, "how many Tenants are worked on at a time")
	flags.BoolVar(&f.leaderElect, "leader-elect", false, "let only one of several operators work")
	flags.StringVar(&f.metricsAddress, "metrics-bind-address", ":8080", "address of the metrics; 0 turns them off")
	flags.BoolVar(&f.metricsSecure, "metrics-secure", true, "serve metrics by TLS and only to clients that the API server lets read them")
	flags.StringVar(&f.probeAddress, "health-probe-bind-address", ":8081", "address of the health endpoints /healthz and /readyz")
	flags.BoolVar(&f.development, "development", false, "log for people instead of machines")
}

// runManager runs until the context ends.
func runManager(ctx context.Context, f managerFlags) error {
	ctrl.SetLogger(zap.New(zap.UseDevMode(f.development)))
	options, err := f.options(os.Getenv("POD_NAMESPACE"), os.Getenv("SERVICE_ACCOUNT"))
	if err != nil {
		return err
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the API server: %w", err)
	}
	mgr, err := newManager(config, f, options.Tenant.Facts.OperatorNamespace)
	if err != nil {
		return err
	}
	if err := controllers.Setup(mgr, options); err != nil {
		return err
	}
	ctrl.Log.Info("starting", "version", version())
	return mgr.Start(ctx)
}

func newManager(config *rest.Config, f managerFlags, namespace string) (manager.Manager, error) {
	// The API server's own fairness paces us better than a fixed rate could.
	config.QPS, config.Burst = -1, -1
	metrics := metricsserver.Options{BindAddress: f.metricsAddress}
	if f.metricsSecure {
		metrics.SecureServing = true
		metrics.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	clients := controllers.ClientOptions()
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        controllers.Scheme(),
		Cache:                         controllers.CacheOptions(),
		Client:                        clients,
		Metrics:                       metrics,
		HealthProbeBindAddress:        f.probeAddress,
		LeaderElection:                f.leaderElect,
		LeaderElectionID:              "manager.freehold.dev",
		LeaderElectionNamespace:       namespace,
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return nil, fmt.Errorf("making the manager: %w", err)
	}
	return mgr, errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("ping", healthz.Ping))
}

// options checks the flags and turns them into what the controllers want.
func (f managerFlags) options(namespace, serviceAccount string) (controllers.Options, error) {
	var errs []error
	required := func(name, value string) {
		if value == "" {
			errs = append(errs, fmt.Errorf("%s must be set", name))
		}
	}
	required("the environment variable POD_NAMESPACE", namespace)
	required("the environment variable SERVICE_ACCOUNT", serviceAccount)
	required("--postgres-image", f.databaseImage)
	required("--edge-image", f.edgeImage)
	networks, err := prefixes("--cluster-networks", f.clusterNetworks)
	errs = append(errs, err)
	if len(networks) == 0 && err == nil {
		errs = append(errs, errors.New("--cluster-networks must name the networks of pods, services and nodes"))
	}
	resolvers, err := prefixes("--dns-addresses", f.dnsAddresses)
	errs = append(errs, err)
	policy := corev1.PullPolicy(f.pullPolicy)
	if policy != corev1.PullAlways && policy != corev1.PullIfNotPresent && policy != corev1.PullNever {
		errs = append(errs, fmt.Errorf("--image-pull-policy=%s is none of Always, IfNotPresent and Never", f.pullPolicy))
	}
	errs = append(errs, addresses("--probe-outside", f.probeOutside))
	points, err := points("--probe-points", f.probePoints)
	errs = append(errs, err)
	return controllers.Options{
		Concurrency: f.concurrency,
		Backup: backup.Options{
			OperatorNamespace: namespace, ClusterDomain: f.clusterDomain, AuditInterval: f.auditInterval, Verifications: f.verifications, EvidenceInterval: f.evidenceInterval, AsideInterval: f.asideInterval,
		},
		Probe: probe.Options{
			Interval: f.probeInterval, Image: f.edgeImage, PullPolicy: policy, ClusterDomain: f.clusterDomain,
			Canary: probe.FindCanary(namespace, f.clusterDomain), APIServer: apiServer(), Outside: f.probeOutside, Points: points,
		},
		Tenant: tenant.Options{
			AuditInterval: f.auditInterval,
			Images:        render.Images{Database: f.databaseImage, Edge: f.edgeImage, PullPolicy: policy},
			Facts: render.Facts{
				ClusterDomain: f.clusterDomain, ClusterNetworks: networks,
				TolerateMissingWalls: f.tolerateNoWalls,
				DNSNamespace:         f.dnsNamespace, DNSPodLabels: f.dnsPodLabels, DNSAddresses: resolvers,
				OperatorNamespace: namespace, OperatorServiceAccount: serviceAccount, TenantClusterRole: f.tenantClusterRole,
			},
		},
	}, errors.Join(errs...)
}

// apiServer is the API server as Kubernetes names it to pods; "" outside of a cluster.
func apiServer() string {
	if os.Getenv("KUBERNETES_SERVICE_HOST") == "" {
		return ""
	}
	return net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
}

// addresses refuses what is no address with a port.
func addresses(flag string, values []string) error {
	for _, value := range values {
		if address, err := netip.ParseAddrPort(value); err != nil || !address.Addr().Is4() {
			return fmt.Errorf("%s: %q is not an IPv4 address with a port, such as 198.51.100.1:443", flag, value)
		}
	}
	return nil
}

// points reads probe points.
func points(flag string, values []string) ([]probe.Point, error) {
	var out []probe.Point
	for _, value := range values {
		text, where, _ := strings.Cut(value, "=")
		address, err := netip.ParseAddr(text)
		if err != nil || !strings.HasPrefix(where, "http://") && !strings.HasPrefix(where, "https://") {
			return nil, fmt.Errorf("%s: %q is not of the form 198.51.100.9=http://198.51.100.9:9445", flag, value)
		}
		out = append(out, probe.Point{Address: address, URL: strings.TrimSuffix(where, "/")})
	}
	return out, nil
}

// prefixes reads networks in CIDR notation; a bare address is a network of one.
func prefixes(flag string, values []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, value := range values {
		if address, err := netip.ParseAddr(value); err == nil {
			out = append(out, netip.PrefixFrom(address, address.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %q is neither an address nor a network such as 10.0.0.0/8", flag, value)
		}
		out = append(out, prefix.Masked())
	}
	return out, nil
}
