// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/controllers/internal/dial"
)

const (
	// roundLimit is how long a round may take; what has not answered by then is not proven.
	roundLimit = 60 * time.Second
	// maxRounds bounds how many rounds are under way at a time, so that a fleet that is due all at once is not a burst of
	// pods. Eight rounds of some seconds prove a fleet of more than a thousand Tenants in ten minutes.
	maxRounds = 8
	// pollInterval is how often the pods of a round are looked at.
	pollInterval = 500 * time.Millisecond
)

// round is a proof under way.
type round struct {
	members []*member
	world   world
	began   time.Time
	seen    evidence
	// pods that have not answered yet, all of them in made.
	waiting map[source]*corev1.Pod
	made    []*corev1.Pod
	// lockdown says that nothing but a lockdown is proven.
	lockdown bool
	// own delivers the outcomes of the operator's own attempts, once.
	own chan []dial.Outcome
}

// start looks at the members and sets everything in motion.
func (r *Reconciler) start(ctx context.Context, members []*member) (*round, error) {
	w := r.world(ctx)
	made := &round{members: members, world: w, began: r.clock.Now(), seen: evidence{}, waiting: map[source]*corev1.Pod{}, own: make(chan []dial.Outcome, 1)}
	attempts := plan(members, w)
	if closing(members[0].tenant) {
		made.lockdown, attempts = true, planLockdown(members)
		made.seen.add(operator, nil) // It tries nothing.
	}
	for from, attempts := range attempts {
		if from == operator {
			// The attempts have limits of their own; the pass that starts them ends before they do.
			go func() { made.own <- r.own(context.WithoutCancel(ctx), members, attempts) }()
			continue
		}
		pod, err := r.pod(members[from.member], from.role, attempts)
		if err == nil {
			err = r.client.Create(ctx, pod)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("starting a pod that proves the walls of %s: %w", members[from.member].name, err), r.clear(ctx, made))
		}
		made.waiting[from], made.made = pod, append(made.made, pod)
	}
	return made, nil
}

// own makes the operator's own attempts, and asks the points outside the cluster.
func (r *Reconciler) own(ctx context.Context, members []*member, attempts []dial.Attempt) []dial.Outcome {
	var group sync.WaitGroup
	asked := make([]dial.Outcome, len(members)*len(r.options.Points))
	for i, m := range members {
		for k, point := range r.options.Points {
			if addresses := m.tenant.Status.Addresses; len(addresses) > 0 {
				group.Go(func() { asked[i*len(r.options.Points)+k] = point.Reach(ctx, pointID(i, k), addresses[0]) })
			}
		}
	}
	outcomes := r.dial(ctx, attempts)
	group.Wait()
	return append(outcomes, asked...)
}

// world is what lies outside of the instances.
func (r *Reconciler) world(ctx context.Context) world {
	w := world{api: r.options.APIServer, outside: r.options.Outside, points: r.options.Points}
	// Without its address the canary is a target that is not known; the claims say so.
	w.canary, _ = r.options.Canary(ctx)
	return w
}

// step looks who has answered; done once everybody has, or the time is over.
func (r *Reconciler) step(ctx context.Context, made *round) (done bool, err error) {
	if _, answered := made.seen[operator]; !answered {
		select {
		case outcomes := <-made.own:
			made.seen.add(operator, outcomes)
		default:
		}
	}
	for from, pod := range made.waiting {
		live := &corev1.Pod{}
		err := r.api.Get(ctx, client.ObjectKeyFromObject(pod), live)
		if client.IgnoreNotFound(err) != nil {
			return false, fmt.Errorf("looking at pod %s/%s of a proof: %w", pod.Namespace, pod.Name, err)
		}
		if err != nil || live.UID != pod.UID {
			delete(made.waiting, from) // Somebody removed it: what it would have shown is not proven.
			continue
		}
		if outcomes, done := answer(live); done {
			made.seen.add(from, outcomes)
			delete(made.waiting, from)
		}
	}
	_, answered := made.seen[operator]
	return len(made.waiting) == 0 && answered || r.clock.Since(made.began) > roundLimit, nil
}

func (e evidence) add(from source, outcomes []dial.Outcome) {
	e[from] = map[string]dial.Outcome{}
	for _, outcome := range outcomes {
		e[from][outcome.ID] = outcome
	}
}

// clear removes the pods of a round.
func (r *Reconciler) clear(ctx context.Context, made *round) error {
	var errs []error
	for _, pod := range made.made {
		errs = append(errs, r.removePod(ctx, pod))
	}
	return errors.Join(errs...)
}
