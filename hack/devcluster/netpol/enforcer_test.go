// SPDX-License-Identifier: Apache-2.0

package netpol

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	netlisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/knftables"
)

const testTable = "fh-netpol-test"

// cluster is a running enforcer over objects in memory and a clock that only
// moves when the test says so.
type cluster struct {
	t                          *testing.T
	pods, namespaces, policies cache.Indexer
	clock                      *clocktesting.FakeClock
	enforcer                   *enforcer
	passes                     chan error
}

// startCluster runs an enforcer over the pods of the test world, and returns
// after its first pass.
func startCluster(t *testing.T, nft knftables.Interface, weak bool) *cluster {
	t.Helper()
	indexer := func() cache.Indexer {
		return cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	}
	c := &cluster{
		t: t, pods: indexer(), namespaces: indexer(), policies: indexer(),
		clock:  clocktesting.NewFakeClock(time.Unix(1_800_000_000, 0)),
		passes: make(chan error),
	}
	for name, lbls := range worldNamespaces() {
		c.must(c.namespaces.Add(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: lbls}}))
	}
	for _, p := range worldPods() {
		c.must(c.pods.Add(p))
	}
	c.enforcer = newEnforcer(listers{
		pods:       corelisters.NewPodLister(c.pods),
		namespaces: corelisters.NewNamespaceLister(c.namespaces),
		policies:   netlisters.NewNetworkPolicyLister(c.policies),
	}, nft, c.clock, options{podCIDR: netip.MustParsePrefix(testPodCIDR), nodeIP: addresses["node"], weak: weak})
	c.run()
	c.must(c.nextPass())
	return c
}

func (c *cluster) run() {
	ctx, stop := context.WithCancel(context.Background())
	c.enforcer.passed = func(err error) {
		select {
		case c.passes <- err:
		case <-ctx.Done():
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- c.enforcer.run(ctx) }()
	c.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			c.t.Errorf("the enforcer ended with %v", err)
		}
	})
}

func (c *cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) nextPass() error {
	c.t.Helper()
	select {
	case err := <-c.passes:
		return err
	case <-time.After(time.Minute):
		c.t.Fatal("the enforcer made no pass within a minute")
		return nil
	}
}

// waiters waits until the enforcer sleeps on n timers.
func (c *cluster) waiters(n int) {
	c.t.Helper()
	for deadline := time.Now().Add(time.Minute); c.clock.Waiters() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("the enforcer sleeps on %d timers, want %d", c.clock.Waiters(), n)
		}
	}
}

// after lets time pass while nothing changes, and waits for the pass that this
// causes.
func (c *cluster) after(d time.Duration) {
	c.t.Helper()
	c.waiters(1)
	c.clock.Step(d)
	c.must(c.nextPass())
}

// meanwhile lets less time pass than the enforcer sleeps.
func (c *cluster) meanwhile(d time.Duration) {
	c.t.Helper()
	c.waiters(1)
	c.clock.Step(d)
}

// changed tells the enforcer of a change and waits for its pass.
func (c *cluster) changed() {
	c.t.Helper()
	c.waiters(1)
	c.enforcer.wake()
	c.waiters(2)
	c.clock.Step(debounce)
	c.must(c.nextPass())
}

func (c *cluster) apply(p *networkingv1.NetworkPolicy) {
	c.t.Helper()
	c.must(c.policies.Add(p))
	c.changed()
}

// counting counts what reaches nftables, and refuses it on demand.
type counting struct {
	*knftables.Fake
	runs   int
	refuse error
}

func (f *counting) Run(ctx context.Context, tx *knftables.Transaction) error {
	if f.refuse != nil {
		return f.refuse
	}
	f.runs++
	return f.Fake.Run(ctx, tx)
}

func newCounting() *counting {
	return &counting{Fake: knftables.NewFake(knftables.InetFamily, testTable)}
}

func TestAChangeIsProgrammedOnceAndAnUnchangedClusterNotAgain(t *testing.T) {
	nft := newCounting()
	c := startCluster(t, nft, false)
	c.changed()
	if nft.runs != 1 {
		t.Errorf("nftables was programmed %d times without a change, want once", nft.runs)
	}
	c.apply(policy(t, "shop/deny", `{podSelector: {}}`))
	if nft.runs != 2 || !strings.Contains(nft.Dump(), "ingress-10.246.0.11") {
		t.Errorf("after %d transactions the new policy is missing in\n%s", nft.runs, nft.Dump())
	}
}

func TestManyEventsWithin50MillisecondsAreOnePass(t *testing.T) {
	nft := newCounting()
	c := startCluster(t, nft, false)
	c.waiters(1)
	c.enforcer.wake()
	c.waiters(2)
	c.must(c.policies.Add(policy(t, "shop/one", `{podSelector: {}}`)))
	c.must(c.policies.Add(policy(t, "bank/two", `{podSelector: {}}`)))
	c.clock.Step(debounce)
	c.must(c.nextPass())
	if nft.runs != 2 {
		t.Errorf("nftables was programmed %d times, want once at the start and once for both policies", nft.runs)
	}
}

func TestAFlushedRuleSetIsProgrammedAgain(t *testing.T) {
	nft := newCounting()
	c := startCluster(t, nft, false)
	tx := nft.NewTransaction()
	tx.Delete(&knftables.Table{})
	c.must(nft.Fake.Run(t.Context(), tx))
	c.after(checkEvery)
	if nft.runs != 2 || nft.Table == nil {
		t.Errorf("the table is still missing after %d transactions", nft.runs)
	}
}

func TestARefusedTransactionIsTriedAgain(t *testing.T) {
	nft := newCounting()
	c := startCluster(t, nft, false)
	nft.refuse = errors.New("no buffer space")
	c.must(c.policies.Add(policy(t, "shop/deny", `{podSelector: {}}`)))
	c.waiters(1)
	c.enforcer.wake()
	c.waiters(2)
	c.clock.Step(debounce)
	if err := c.nextPass(); !errors.Is(err, nft.refuse) {
		t.Fatalf("the pass ended with %v, want the error of nftables", err)
	}
	c.waiters(1)
	nft.refuse = nil
	c.after(retryAfter)
	if !strings.Contains(nft.Dump(), "ingress-10.246.0.11") {
		t.Errorf("the policy is missing after the second try in\n%s", nft.Dump())
	}
}

func TestAFirstFailureEndsTheProgram(t *testing.T) {
	nft := newCounting()
	nft.refuse = errors.New("operation not permitted")
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	e := newEnforcer(listers{
		corelisters.NewPodLister(indexer), corelisters.NewNamespaceLister(indexer), netlisters.NewNetworkPolicyLister(indexer),
	}, nft, clocktesting.NewFakeClock(time.Now()), options{podCIDR: netip.MustParsePrefix(testPodCIDR)})
	if err := e.run(t.Context()); !errors.Is(err, nft.refuse) {
		t.Errorf("run returned %v, want the error of nftables", err)
	}
}

func TestStrictModeForgetsAPodThatHasEnded(t *testing.T) {
	nft := newCounting()
	c := startCluster(t, nft, false)
	ended := worldPods()[0]
	ended.Status.Phase = corev1.PodSucceeded
	c.must(c.pods.Update(ended))
	c.changed()
	if nft.Table.Sets[knownSet].FindElement("10.246.0.11") != nil {
		t.Error("the address of a pod that has succeeded is still known")
	}
	if nft.Table.Sets[knownSet].FindElement("10.246.0.12") == nil {
		t.Error("the address of a running pod is not known")
	}
}

func TestWeakModeProgramsANewPodTwoSecondsLate(t *testing.T) {
	nft := newCounting()
	c := startCluster(t, nft, true)
	c.apply(policy(t, "shop/deny", `{podSelector: {}}`))
	walled := func() bool { return nft.Table.Maps[ingressMap].FindElement("10.246.0.13") != nil }

	late := pod("shop/web", nil)
	late.Name, late.UID, late.Status.PodIP = "late", "late", "10.246.0.13"
	c.must(c.pods.Add(late))
	c.changed()
	if walled() {
		t.Error("the new pod has its walls at once")
	}
	c.meanwhile(lateness - 2*debounce)
	c.changed()
	if walled() {
		t.Error("the new pod has its walls before two seconds are over")
	}
	c.after(debounce)
	if !walled() {
		t.Error("the new pod has no walls after two seconds")
	}
}

func TestConfigurationMistakesAreNamed(t *testing.T) {
	good := Config{PodCIDR: testPodCIDR, NodeIP: testNodeIP, Mode: ModeStrict}
	if _, err := optionsOf(good); err != nil {
		t.Fatalf("a good configuration is refused: %v", err)
	}
	for want, change := range map[string]func(*Config){
		`policy mode "loose"`:  func(c *Config) { c.Mode = "loose" },
		`pod CIDR "fd00::/64"`: func(c *Config) { c.PodCIDR = "fd00::/64" },
		`node IP "node1"`:      func(c *Config) { c.NodeIP = "node1" },
	} {
		bad := good
		change(&bad)
		if _, err := optionsOf(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want one with %s", err, want)
		}
	}
}
