// SPDX-License-Identifier: Apache-2.0

package netpol

import (
	"context"
	"fmt"
	"net/netip"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"
	"sigs.k8s.io/knftables"
)

// TableName is the nftables table (family inet) that Run programs.
const TableName = "dc-netpol"

// How policies are enforced; see the package's description.
const (
	// ModeStrict cuts established connections and closes unknown pods.
	ModeStrict = "strict"
	// ModeWeak keeps established connections and programs new pods late.
	ModeWeak = "weak"
	// ModeNone enforces nothing.
	ModeNone = "none"
)

// Config says what Run enforces, and where. All fields are required, except that
// ModeNone needs none of the others.
type Config struct {
	// Kubeconfig is the path of a kubeconfig that may list and watch pods,
	// namespaces and networkpolicies.
	Kubeconfig string
	// PodCIDR is the IPv4 range of the node's pods.
	PodCIDR string
	// NodeIP is the node's address; pods that have it share the node's network.
	NodeIP string
	// Mode is ModeStrict, ModeWeak or ModeNone.
	Mode string
}

// Run enforces the cluster's policies until ctx is done, and then returns nil.
// It leaves the table behind, so that a restart opens nothing; Cleanup removes
// it. An error means that the configuration is wrong or that the first
// programming failed; later failures are logged and tried again.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Mode == ModeNone {
		if err := Cleanup(ctx); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	}
	opts, err := optionsOf(cfg)
	if err != nil {
		return err
	}
	rest, err := clientcmd.BuildConfigFromFlags("", cfg.Kubeconfig)
	if err != nil {
		return fmt.Errorf("reading the kubeconfig of the policy program: %w", err)
	}
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return fmt.Errorf("making the policy program's client: %w", err)
	}
	nft, err := knftables.New(knftables.InetFamily, TableName)
	if err != nil {
		return fmt.Errorf("using nftables (needs root and Debian's nftables): %w", err)
	}
	return enforce(ctx, client, nft, opts)
}

func enforce(ctx context.Context, client kubernetes.Interface, nft knftables.Interface, opts options) error {
	factory := informers.NewSharedInformerFactory(client, 0)
	defer factory.Shutdown() // waits until the informers have ended, so they are stopped first
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	enforcer := newEnforcer(listersOf(factory), nft, clock.RealClock{}, opts)
	if err := watch(ctx, factory, enforcer.wake); err != nil || ctx.Err() != nil {
		return err
	}
	return enforcer.run(ctx)
}

// Cleanup removes the table of Run, if there is one: nothing is enforced any
// more.
func Cleanup(ctx context.Context) error {
	nft, err := knftables.New(knftables.InetFamily, TableName)
	if err != nil {
		return fmt.Errorf("using nftables (needs root and Debian's nftables): %w", err)
	}
	tx := nft.NewTransaction()
	tx.Add(&knftables.Table{})
	tx.Delete(&knftables.Table{})
	if err := nft.Run(ctx, tx); err != nil {
		return fmt.Errorf("removing nftables table inet %s: %w", TableName, err)
	}
	return nil
}

// options is a Config that has been read.
type options struct {
	podCIDR netip.Prefix
	nodeIP  netip.Addr
	weak    bool
}

func optionsOf(cfg Config) (options, error) {
	if cfg.Mode != ModeStrict && cfg.Mode != ModeWeak {
		return options{}, fmt.Errorf("policy mode %q is none of %s, %s, %s", cfg.Mode, ModeStrict, ModeWeak, ModeNone)
	}
	podCIDR, err := netip.ParsePrefix(cfg.PodCIDR)
	if err != nil || !podCIDR.Addr().Is4() {
		return options{}, fmt.Errorf("pod CIDR %q is not an IPv4 range such as 10.244.0.0/24", cfg.PodCIDR)
	}
	nodeIP, err := netip.ParseAddr(cfg.NodeIP)
	if err != nil || !nodeIP.Is4() {
		return options{}, fmt.Errorf("node IP %q is not an IPv4 address", cfg.NodeIP)
	}
	return options{podCIDR: podCIDR.Masked(), nodeIP: nodeIP, weak: cfg.Mode == ModeWeak}, nil
}

func listersOf(factory informers.SharedInformerFactory) listers {
	return listers{
		pods:       factory.Core().V1().Pods().Lister(),
		namespaces: factory.Core().V1().Namespaces().Lister(),
		policies:   factory.Networking().V1().NetworkPolicies().Lister(),
	}
}

// watch starts the informers, waits for their first lists, and lets them call
// wake after each change.
func watch(ctx context.Context, factory informers.SharedInformerFactory, wake func()) error {
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { wake() },
		UpdateFunc: func(any, any) { wake() },
		DeleteFunc: func(any) { wake() },
	}
	for _, informer := range []cache.SharedIndexInformer{
		factory.Core().V1().Pods().Informer(),
		factory.Core().V1().Namespaces().Informer(),
		factory.Networking().V1().NetworkPolicies().Informer(),
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return fmt.Errorf("watching the cluster for policies: %w", err)
		}
	}
	factory.Start(ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced && ctx.Err() == nil {
			return fmt.Errorf("reading all objects of %s failed", kind)
		}
	}
	return nil
}
