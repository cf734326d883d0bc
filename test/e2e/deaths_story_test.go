// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// worker is a process of the engine in the pod of one of a customer's Jobs, as this machine sees it.
type worker struct {
	pid     int
	pod     string
	command string
}

// jobPods are the UIDs of the pods of the customer's Jobs.
func (c *customer) jobPods(ctx context.Context) ([]string, error) {
	var pods corev1.PodList
	if err := api.List(ctx, &pods, client.InNamespace(c.namespace), client.HasLabels{v1alpha1.LabelBackupJob}); err != nil {
		return nil, err
	}
	var uids []string
	for _, pod := range pods.Items {
		uids = append(uids, string(pod.UID))
	}
	return uids, nil
}

// workersIn are the engine's processes that do something with the repository, in a pod.
func workersIn(pod string) []worker {
	var found []worker
	for _, pid := range processesOf(pod) {
		if w, is := asWorker(pod, pid); is {
			found = append(found, w)
		}
	}
	return found
}

func asWorker(pod string, pid int) (worker, bool) {
	words := commandLine(pid)
	if len(words) < 2 || filepath.Base(words[0]) != "pgbackrest" {
		return worker{}, false
	}
	return worker{pid, pod, words[len(words)-1]}, true
}

// processesOf lists the processes in a pod's containers, but for the one that holds its network.
func processesOf(pod string) []int {
	var pids []int
	files, _ := filepath.Glob("/proc/[0-9]*/cgroup")
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(content), "pod"+pod) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if words := commandLine(pid); err == nil && len(words) > 0 && filepath.Base(words[0]) != "pause" {
			pids = append(pids, pid)
		}
	}
	return pids
}

// childrenOf are the processes that a process started; see proc_pid_task(5).
func childrenOf(pid int) []int {
	var pids []int
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range files {
		content, _ := os.ReadFile(file)
		for _, word := range strings.Fields(string(content)) {
			if child, err := strconv.Atoi(word); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

func commandLine(pid int) []string {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(content) == 0 {
		return nil
	}
	return strings.Split(strings.TrimRight(string(content), "\x00"), "\x00")
}

// stopsAt waits until a Job of the customer's is at a step of the engine's, and stops the clock there: the process stands
// still until it is killed.
func (c *customer) stopsAt(ctx context.Context, step string) worker {
	GinkgoHelper()
	var at worker
	Eventually(func() error {
		pods, err := c.jobPods(ctx)
		if err != nil {
			return err
		}
		for _, pod := range pods {
			for _, pid := range processesOf(pod) {
				if words := commandLine(pid); len(words) == 0 || filepath.Base(words[0]) != "freehold" {
					continue
				}
				if at = stopsChild(ctx, pod, pid, step); at.pid != 0 {
					return nil
				}
			}
		}
		return errors.New("no Job is there")
	}).WithContext(ctx).WithTimeout(limit).WithPolling(50*time.Millisecond).Should(Succeed(), "a Job should come to %s", step)
	return at
}

// stopsChild looks at the agent's children alone, without a pause, until it ends: a step may be over within a tenth of a second.
func stopsChild(ctx context.Context, pod string, agent int, step string) worker {
	for ctx.Err() == nil && len(commandLine(agent)) > 0 {
		for _, pid := range childrenOf(agent) {
			if w, is := asWorker(pod, pid); is && w.command == step && syscall.Kill(pid, syscall.SIGSTOP) == nil {
				return w
			}
		}
	}
	return worker{}
}

// dies kills everything in the worker's pod at once.
func (w worker) dies() {
	for _, pid := range processesOf(w.pod) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// writers watches that never two pods of a customer's Jobs write to a repository.
type writers struct {
	mu   sync.Mutex
	seen []string
}

func (w *writers) watch(ctx context.Context, c *customer) {
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for background.Err() == nil {
			w.look(background, c)
			select {
			case <-tick.C:
			case <-background.Done():
			}
		}
	}()
	DeferCleanup(func() { cancel(); <-done })
}

func (w *writers) look(ctx context.Context, c *customer) {
	all, err := c.jobPods(ctx)
	if err != nil {
		return // The API server is asked again.
	}
	pods := map[string]string{}
	for _, pod := range all {
		for _, one := range workersIn(pod) {
			switch one.command {
			case "stanza-create", "backup", "expire":
				pods[pod] = one.command
			}
		}
	}
	if len(pods) > 1 {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seen = append(w.seen, fmt.Sprint(pods))
	}
}

func (w *writers) together() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen
}

// What the operator does in a restore is restarted at every pass by the tests of controllers/backup, against a real API
// server; here are the deaths that need a real node: of the engine in the middle of its work, beside that of the operator,
// and of everything at once.
var _ = Describe("Everything that backs up is killed", Ordered, Serial, Label("backups"), func() {
	customer := named("mortal")
	var both writers

	BeforeAll(func(ctx SpecContext) {
		needLocalCluster()
		all := sites(ctx)
		policy(ctx, "for-the-mortal", escrowedTo(newKeeper()), keptAt(all, "s3-a"))
		all["s3-a"].admits(ctx, customer)
		customer.order(ctx, backedUpBy("for-the-mortal"))
		both.watch(ctx, customer)
	}, NodeTimeout(limit))

	AfterEach(func() {
		Expect(both.together()).To(BeEmpty(), "never two should have written to the repository")
	})

	It("while the repository is made", func(ctx SpecContext) {
		at := customer.stopsAt(ctx, "stanza-create")
		killOperator(ctx)
		at.dies()
		Eventually(customer.destinationTells(ctx, "s3-a", v1alpha1.ConditionBackedUp)).WithContext(ctx).
			Should(HavePrefix("BackedUp=False BackupFailed"), "the next operator should find out, and say so")
		customer.available(ctx)
	}, SpecTimeout(limit))

	It("while the first base backup is made; the next one is whole", func(ctx SpecContext) {
		died := customer.asksFor(ctx, "dies", "s3-a")
		customer.stopsAt(ctx, "backup").dies()
		ended(ctx, died, "False Failed")
		customer.backsUp(ctx, "after-the-first-deaths", "s3-a")
		customer.becomes(ctx, v1alpha1.ConditionBackedUp, "True Fresh")
	}, SpecTimeout(limit))

	It("by a power cut, while a base backup is made", func(ctx SpecContext) {
		died := customer.asksFor(ctx, "loses-power", "s3-a")
		customer.stopsAt(ctx, "backup")
		devcluster(ctx, "restart-node")
		ended(ctx, died, "False Failed")
		customer.available(ctx)
	}, SpecTimeout(limit))

	It("while what has expired is removed; nothing is missing afterwards", func(ctx SpecContext) {
		Eventually(customer.destinationTells(ctx, "s3-a", v1alpha1.ConditionRecoverable)).WithContext(ctx).WithTimeout(limit).
			Should(HavePrefix("Recoverable=True"), "nothing expires before a proof")
		died := customer.asksFor(ctx, "dies-late", "s3-a")
		at := customer.stopsAt(ctx, "expire")
		killOperator(ctx)
		at.dies()
		ended(ctx, died, "False Failed")
		customer.backsUp(ctx, "after-all-deaths", "s3-a")
		customer.becomes(ctx, v1alpha1.ConditionRetained, "True Fresh")
		Expect(*customer.tenant(ctx).Status.Backups.Destinations[0].Backups).To(BeEquivalentTo(3), "those that ended, and the one whose Job died after it")
	}, SpecTimeout(limit))

	It("while a restore copies; the database starts again as it was, and the next restore succeeds", func(ctx SpecContext) {
		customer.underLoad(ctx)
		Eventually(func() string { return customer.mustSQL(ctx, "SELECT count(*) > 20 FROM orders") }).WithContext(ctx).Should(Equal("t"))
		before := customer.nextSecond(ctx).Truncate(time.Second)
		orders := fmt.Sprintf("SELECT count(*) FROM orders WHERE at < to_timestamp(%d)", before.Unix()-1)
		count := customer.mustSQL(ctx, orders)
		customer.recoverableUntil(ctx, before)
		died := &v1alpha1.Restore{}
		died.Namespace, died.Name, died.Spec.Target = customer.namespace, "dies", moment(before)
		Expect(api.Create(ctx, died)).To(Succeed())
		at := customer.stopsAt(ctx, "restore")
		killOperator(ctx)
		at.dies()
		customer.restoreTells(ctx, died, v1alpha1.ConditionComplete, "Complete=False Failed")
		customer.available(ctx)
		Expect(customer.mustSQL(ctx, orders)).To(Equal(count), "nothing should have changed")
		customer.restores(ctx, "lives", moment(before))
		customer.available(ctx)
		Expect(customer.mustSQL(ctx, orders)).To(Equal(count), "every order should have come back")
	}, SpecTimeout(limit))
})
