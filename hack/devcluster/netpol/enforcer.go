// SPDX-License-Identifier: Apache-2.0

package netpol

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"
	netlisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/knftables"
)

const (
	// debounce gathers the events that one change causes.
	debounce = 50 * time.Millisecond
	// checkEvery is how often the table is looked for, should somebody have
	// flushed the rule set.
	checkEvery = 30 * time.Second
	// retryAfter is the pause after nftables refused a transaction.
	retryAfter = time.Second
)

// listers read the cluster from memory.
type listers struct {
	pods       corelisters.PodLister
	namespaces corelisters.NamespaceLister
	policies   netlisters.NetworkPolicyLister
}

// enforcer keeps one nftables table in step with the cluster.
type enforcer struct {
	listers
	nft   knftables.Interface
	clock clock.Clock
	opts  options

	// changed holds an entry if something happened since the last pass began.
	changed chan struct{}
	late    latecomers
	// programmed is the transaction that the kernel has, empty if unknown.
	programmed string
	// passed is called after each pass with its error; the tests wait for it.
	passed func(error)
}

func newEnforcer(from listers, nft knftables.Interface, clk clock.Clock, opts options) *enforcer {
	return &enforcer{
		listers: from, nft: nft, clock: clk, opts: opts,
		changed: make(chan struct{}, 1),
		passed:  func(error) {},
	}
}

// wake asks for a pass.
func (e *enforcer) wake() {
	select {
	case e.changed <- struct{}{}:
	default:
	}
}

// run programs until ctx is done. It returns the error of the first pass only.
func (e *enforcer) run(ctx context.Context) error {
	for first := true; ctx.Err() == nil; first = false {
		wait, err := e.pass(ctx)
		e.passed(err)
		if err != nil && first {
			return err
		}
		if err != nil && ctx.Err() == nil {
			slog.Error("network policies are not up to date; trying again", "error", err)
			wait = retryAfter
		}
		e.await(ctx, wait)
	}
	return nil
}

// await returns after a change and its debounce, after wait, or when ctx is done.
func (e *enforcer) await(ctx context.Context, wait time.Duration) {
	timer := e.clock.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C():
	case <-e.changed:
		pause := e.clock.NewTimer(debounce)
		defer pause.Stop()
		select {
		case <-ctx.Done():
		case <-pause.C():
		}
	}
}

// pass brings the kernel in step once, and says when to come back without a
// change.
func (e *enforcer) pass(ctx context.Context) (wait time.Duration, err error) {
	state, wait, err := e.observe()
	if err != nil {
		return 0, err
	}
	tx := e.nft.NewTransaction()
	render(tx, Compute(state), e.opts.podCIDR, e.opts.weak)
	if tx.String() == e.programmed && e.present(ctx) {
		return wait, nil
	}
	e.programmed = ""
	if err := e.nft.Run(ctx, tx); err != nil {
		return 0, fmt.Errorf("programming nftables with the policies of %d pods: %w", len(state.Pods), err)
	}
	e.programmed = tx.String()
	slog.Info("network policies programmed", "pods", len(state.Pods), "policies", len(state.Policies))
	return wait, nil
}

// observe reads the caches.
func (e *enforcer) observe() (State, time.Duration, error) {
	pods, podsErr := e.pods.List(labels.Everything())
	namespaces, namespacesErr := e.namespaces.List(labels.Everything())
	policies, policiesErr := e.policies.List(labels.Everything())
	if err := errors.Join(podsErr, namespacesErr, policiesErr); err != nil {
		return State{}, 0, fmt.Errorf("reading pods, namespaces and policies: %w", err)
	}
	state := State{
		Pods:       PodsOf(pods, e.opts.nodeIP),
		Namespaces: make(map[string]labels.Set, len(namespaces)),
		Policies:   policies,
	}
	for _, ns := range namespaces {
		state.Namespaces[ns.Name] = ns.Labels
	}
	if !e.opts.weak {
		return state, checkEvery, nil
	}
	known, next := e.late.known(e.clock.Now(), state.Pods)
	state.Pods = known
	if next == 0 {
		next = checkEvery
	}
	return state, next, nil
}

// present says whether the kernel still has the table's base chains.
func (e *enforcer) present(ctx context.Context) bool {
	chains, err := e.nft.List(ctx, "chains")
	return err == nil && len(chains) > 0
}
