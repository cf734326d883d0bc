// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// claims are what stands in the proof of a condition, by name.
func (c *customer) claims(ctx context.Context, condition string) map[string]v1alpha1.Claim {
	GinkgoHelper()
	out := map[string]v1alpha1.Claim{}
	for _, proof := range c.tenant(ctx).Status.Proofs {
		for _, claim := range proof.Claims {
			if proof.Condition == condition {
				out[claim.Name] = claim
			}
		}
	}
	return out
}

// becomes waits until a condition has the status and reason, and its message says the words.
func (c *customer) becomes(ctx context.Context, condition, statusAndReason string, says ...string) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		told := c.poll(ctx, condition)()
		g.Expect(told).To(HavePrefix(condition + "=" + statusAndReason + ": "))
		for _, words := range says {
			g.Expect(told).To(ContainSubstring(words))
		}
	}).WithContext(ctx).Should(Succeed(), "%s should become %s=%s", c.name, condition, statusAndReason)
}

// held is a connection of a client that goes on asking; it ends when the connection does.
func (c *customer) held(ctx context.Context, who visitor) <-chan time.Time {
	GinkgoHelper()
	authority := c.authority(ctx)
	raw, err := who.dial(ctx, "tcp", net.JoinHostPort(c.address(ctx), "443"))
	Expect(err).NotTo(HaveOccurred())
	conn := tls.Client(raw, &tls.Config{RootCAs: authority, ServerName: c.host, MinVersion: tls.VersionTLS12})
	Expect(conn.HandshakeContext(ctx)).To(Succeed())
	ended, first := make(chan time.Time, 1), make(chan error, 1)
	go func() {
		defer func() { _ = conn.Close() }()
		answers := bufio.NewReader(conn)
		ask := func() error {
			// Where a wall drops the packets silently, this is how the client notices.
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			if _, err := fmt.Fprintf(conn, "GET /healthcheck HTTP/1.1\r\nHost: %s\r\n\r\n", c.host); err != nil {
				return err
			}
			answer, err := http.ReadResponse(answers, nil)
			if err != nil {
				return err
			}
			return answer.Body.Close()
		}
		err := ask()
		first <- err
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for err == nil && ctx.Err() == nil {
			<-tick.C
			err = ask()
		}
		ended <- time.Now()
	}()
	Expect(<-first).To(Succeed(), "a client should be served")
	return ended
}

// lockdownTimes are how long the parts of a lockdown took, from the moment that it was ordered, or lifted.
type lockdownTimes struct{ cut, refused, proven, open time.Duration }

func (t lockdownTimes) String() string {
	return fmt.Sprintf("an open connection was cut after %s, new ones were refused after %s, that was proven after %s; open again after %s",
		t.cut.Round(time.Millisecond), t.refused.Round(time.Millisecond), t.proven.Round(time.Millisecond), t.open.Round(time.Millisecond))
}

// lockdown orders one, waits until it is proven, and lifts it.
func (c *customer) lockdown(ctx context.Context) lockdownTimes {
	GinkgoHelper()
	var took lockdownTimes
	ended := c.held(ctx, c10)
	began := time.Now()
	c.patch(ctx, `{"spec":{"lockdown":true}}`)
	Eventually(func() error { return c.handshake(ctx, c10) }).WithContext(ctx).WithTimeout(prompt).WithPolling(100*time.Millisecond).
		Should(HaveOccurred(), "nobody should get in any more")
	took.refused = time.Since(began)
	var cut time.Time
	Eventually(ended).WithContext(ctx).WithTimeout(prompt).Should(Receive(&cut), "a connection that is open should be cut")
	took.cut = cut.Sub(began)
	c.becomes(ctx, v1alpha1.ConditionLockedDown, "True Proven", "each of")
	took.proven = time.Since(began)
	Expect(c.handshake(ctx, c10)).NotTo(Succeed(), "what is said to be closed should be")

	began = time.Now()
	c.patch(ctx, `{"spec":{"lockdown":false}}`)
	Eventually(func() error { return c.handshake(ctx, c10) }).WithContext(ctx).WithTimeout(prompt).WithPolling(100 * time.Millisecond).Should(Succeed())
	took.open = time.Since(began)
	c.answers(ctx)
	Eventually(func() string { return c.poll(ctx, v1alpha1.ConditionLockedDown)() }).WithContext(ctx).ShouldNot(HavePrefix("LockedDown=True"))
	return took
}

// handshake is a TLS handshake with the gate, from outside.
func (c *customer) handshake(ctx context.Context, who visitor) error {
	raw, err := who.dial(ctx, "tcp", net.JoinHostPort(c.address(ctx), "443"))
	if err != nil {
		return err
	}
	defer func() { _ = raw.Close() }()
	if err := raw.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	return tls.Client(raw, &tls.Config{RootCAs: c.authority(ctx), ServerName: c.host, MinVersion: tls.VersionTLS12}).HandshakeContext(ctx)
}

var _ = Describe("The walls around a customer", Ordered, Label("walls"), func() {
	customer, neighbour := named("walled"), named("next-door")

	BeforeAll(func(ctx SpecContext) {
		neighbour.order(ctx)
		customer.order(ctx).available(ctx).answers(ctx)
		neighbour.available(ctx)
	}, NodeTimeout(limit))

	It("are proven by packets, claim by claim, and so is the encryption", func(ctx SpecContext) {
		customer.becomes(ctx, v1alpha1.ConditionIsolated, "True Proven")
		customer.becomes(ctx, v1alpha1.ConditionEncryptedInTransit, "True Proven")
		walls := customer.claims(ctx, v1alpha1.ConditionIsolated)
		for _, name := range []string{"EgressFromApp", "EgressFromDatabase", "EgressFromGate", "IngressToDatabase", "IngressToApp", "IngressToGate", "NoForeignObjects"} {
			Expect(walls).To(HaveKey(name))
			Expect(string(walls[name].Status)).To(Equal("True"), walls[name].Message)
		}
		Expect(walls["EgressFromApp"].Message).To(And(ContainSubstring("the API server"), ContainSubstring("the canary")))
		Eventually(func() string { return customer.claims(ctx, v1alpha1.ConditionIsolated)["EgressFromApp"].Message }).WithContext(ctx).
			Should(ContainSubstring("the database of "+neighbour.name), "the neighbour should be among what is out of reach")
		Expect(customer.claims(ctx, v1alpha1.ConditionEncryptedInTransit)["ClientToGate"].Message).To(ContainSubstring("lowest accepted TLS 1.2"))
	}, SpecTimeout(limit))

	It("leave nothing of a proof behind", func(ctx SpecContext) {
		Eventually(func() string {
			return run(ctx, "kubectl", "get", "pods", "-n", customer.namespace, "-l", v1alpha1.LabelProbe, "-o", "name")
		}).WithContext(ctx).Should(BeEmpty(), "the pods of a proof should go")
	}, SpecTimeout(limit))

	It("stood before anything of the customer's ran", func(ctx SpecContext) {
		for _, pod := range customer.pods(ctx) {
			said := run(ctx, "kubectl", "logs", "-n", customer.namespace, pod.Name, "-c", "wait-for-walls")
			Expect(said).To(ContainSubstring("the walls stand"), pod.Name)
			if os.Getenv("POLICY") == "weak" {
				// There a new pod has no walls for two seconds, and its first attempts succeed.
				Expect(said).NotTo(MatchRegexp(`"tries":[12][,}]`), "%s should have had to wait for its walls", pod.Name)
			}
		}
	}, SpecTimeout(limit))

	It("are noticed when somebody opens them, and when they stand again", func(ctx SpecContext) {
		const policy = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: let-everybody-in}
spec: {podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{}], egress: [{}]}
`
		out, err := tryPipe(ctx, policy, "kubectl", "apply", "-n", customer.namespace, "-f", "-")
		Expect(err).To(HaveOccurred(), "an administrator should not open walls in passing")
		Expect(out).To(ContainSubstring("only Freehold writes network policies"))
		pipe(ctx, policy, "kubectl", append([]string{"apply", "-n", customer.namespace, "-f", "-"}, withGlass...)...)
		customer.becomes(ctx, v1alpha1.ConditionIsolated, "False WallOpen", "NetworkPolicy/let-everybody-in", "REACHES", "IS REACHED BY")
		Expect(string(neighbour.claims(ctx, v1alpha1.ConditionIsolated)["IngressToDatabase"].Status)).To(Equal("True"), "the neighbour's own walls should stand")
		run(ctx, "kubectl", append([]string{"delete", "networkpolicy", "let-everybody-in", "-n", customer.namespace}, withGlass...)...)
		customer.becomes(ctx, v1alpha1.ConditionIsolated, "True Proven")
	}, SpecTimeout(limit))

	It("are in doubt beside a stranger's Service, which is named", func(ctx SpecContext) {
		run(ctx, "kubectl", "create", "service", "clusterip", "side-door", "--tcp=5432", "-n", customer.namespace)
		customer.becomes(ctx, v1alpha1.ConditionIsolated, "False ForeignObject", "Service/side-door")
		run(ctx, "kubectl", "delete", "service", "side-door", "-n", customer.namespace)
		customer.becomes(ctx, v1alpha1.ConditionIsolated, "True Proven")
	}, SpecTimeout(limit))

	It("say whose word the encryption at rest is", func(ctx SpecContext) {
		customer.becomes(ctx, v1alpha1.ConditionEncryptedAtRest, "Unknown NotAttested", "freehold.dev/encryption-attested-by")
		var classes storagev1.StorageClassList
		Expect(api.List(ctx, &classes)).To(Succeed())
		for _, class := range classes.Items {
			run(ctx, "kubectl", "annotate", "storageclass", class.Name, "freehold.dev/encryption-attested-by=e2e")
			DeferCleanup(func(ctx SpecContext) {
				run(ctx, "kubectl", "annotate", "storageclass", class.Name, "freehold.dev/encryption-attested-by-")
			}, NodeTimeout(limit))
		}
		customer.becomes(ctx, v1alpha1.ConditionEncryptedAtRest, "True Attested", "attested by e2e")
	}, SpecTimeout(limit))
})

// How fast walls close is measured while nothing else is going on; and points are a setting of the whole operator.
var _ = Describe("The walls around a customer, seen from outside", Ordered, Serial, Label("walls"), func() {
	customer, neighbour := named("seen"), named("next-to-seen")

	BeforeAll(func(ctx SpecContext) {
		neighbour.order(ctx)
		customer.order(ctx).available(ctx).answers(ctx)
		neighbour.available(ctx)
	}, NodeTimeout(limit))

	It("close at once in a lockdown, also for whom is in already; all else goes on, and they open again as fast", func(ctx SpecContext) {
		needLocalCluster()
		pods := customer.lives(ctx)
		took := customer.lockdown(ctx)
		Expect(customer.lives(ctx)).To(Equal(pods), "everything else should keep running")
		neighbour.answers(ctx)
		AddReportEntry("lockdown", took.String())
		Expect(took.cut).To(BeNumerically("<", 10*time.Second), "an open connection should be cut within ten seconds")
		Expect(took.refused).To(BeNumerically("<", 10*time.Second), "new connections should be refused within ten seconds")
	}, SpecTimeout(limit))

	It("are told by points outside the cluster: who gets in is who may", func(ctx SpecContext) {
		needLocalCluster()
		program := os.Getenv("FREEHOLD_PROGRAM")
		Expect(program).To(BeAnExistingFile(), "hack/e2e.sh names the program that was put into the images")
		var declared []string
		for i, who := range []visitor{c10, c20} {
			command := exec.Command("ip", "netns", "exec", "dc-"+who.name, program, "agent", "point", "--networks=198.18.0.0/24")
			command.Stderr = GinkgoWriter
			Expect(command.Start()).To(Succeed())
			DeferCleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
			declared = append(declared, fmt.Sprintf("probe.points[%d].address=%s,probe.points[%d].url=http://%s:9445", i, who.address, i, who.address))
		}
		install(ctx, "--set", strings.Join(declared, ","))
		DeferCleanup(func(ctx SpecContext) { install(ctx) }, NodeTimeout(limit))
		told := func(words ...string) {
			GinkgoHelper()
			Eventually(func(g Gomega) {
				claim := customer.claims(ctx, v1alpha1.ConditionIsolated)["ClientRanges"]
				g.Expect(string(claim.Status)).To(Equal("True"), claim.Message)
				for _, text := range words {
					g.Expect(claim.Message).To(ContainSubstring(text))
				}
			}).WithContext(ctx).Should(Succeed())
		}
		told(c10.address+" gets in", c20.address+" gets in")
		customer.patch(ctx, `{"spec":{"network":{"access":"Restricted","allowedRanges":["`+c10Range+`"]}}}`)
		told(c10.address+" gets in", c20.address+" is kept out")
		customer.patch(ctx, `{"spec":{"network":{"access":"Open","allowedRanges":null}}}`)
		told(c10.address+" gets in", c20.address+" gets in")
	}, SpecTimeout(limit))
})

var _ = Describe("A customer on a cluster that enforces nothing", Ordered, Serial, Label("no-walls"), func() {
	customer := named("unwalled")

	BeforeAll(func(ctx SpecContext) { customer.order(ctx) }, NodeTimeout(limit))

	It("is not started, and told why", func(ctx SpecContext) {
		Eventually(func() string {
			said, _ := try(ctx, "kubectl", "logs", "-n", customer.namespace, "db-0", "-c", "wait-for-walls", "--tail=1")
			return said
		}).WithContext(ctx).Should(ContainSubstring("this cluster does not enforce NetworkPolicy"))
		Expect(customer.poll(ctx, v1alpha1.ConditionAvailable)()).To(HavePrefix("Available=False"))
	}, SpecTimeout(limit))

	It("is known not to be isolated", func(ctx SpecContext) {
		customer.becomes(ctx, v1alpha1.ConditionIsolated, "False NotEnforced", "this cluster enforces no NetworkPolicy")
	}, SpecTimeout(limit))

	It("is started where the installation tolerates that, and still known not to be isolated", func(ctx SpecContext) {
		install(ctx, "--set", "walls.tolerateMissing=true")
		DeferCleanup(func(ctx SpecContext) { install(ctx) }, NodeTimeout(limit))
		var pending string
		Eventually(func() string {
			pending = customer.tenant(ctx).Status.Revision.PendingHash
			return pending
		}).WithContext(ctx).ShouldNot(BeEmpty(), "the new setting should be offered as an update")
		run(ctx, "kubectl", "annotate", "tenant", customer.name, "--overwrite", v1alpha1.AnnotationApproveUpdate+"="+pending)
		customer.available(ctx).answers(ctx)
		customer.becomes(ctx, v1alpha1.ConditionIsolated, "False NotEnforced")
		Eventually(func() string {
			return string(customer.claims(ctx, v1alpha1.ConditionIsolated)["IngressToDatabase"].Status)
		}).WithContext(ctx).Should(Equal("False"))
		Expect(strings.TrimSpace(run(ctx, "kubectl", "logs", "-n", customer.namespace, "db-0", "-c", "wait-for-walls"))).To(ContainSubstring("starting all the same"))
	}, SpecTimeout(limit))
})

var _ = Describe("Lockdowns, again and again", Serial, Label("bench"), func() {
	customer := named("often-locked")

	It("take some seconds", func(ctx SpecContext) {
		needLocalCluster()
		customer.order(ctx).available(ctx).answers(ctx)
		var all []lockdownTimes
		for i := range 20 {
			all = append(all, customer.lockdown(ctx))
			By(fmt.Sprintf("%d: %s", i+1, all[i]))
		}
		for name, part := range map[string]func(lockdownTimes) time.Duration{
			"cut":     func(t lockdownTimes) time.Duration { return t.cut },
			"refused": func(t lockdownTimes) time.Duration { return t.refused },
			"proven":  func(t lockdownTimes) time.Duration { return t.proven },
			"open":    func(t lockdownTimes) time.Duration { return t.open },
		} {
			var times []time.Duration
			for _, t := range all {
				times = append(times, part(t))
			}
			slices.Sort(times)
			By(fmt.Sprintf("%s: median %s, longest of %d %s", name, times[len(times)/2].Round(time.Millisecond), len(times), times[len(times)-1].Round(time.Millisecond)))
		}
	}, SpecTimeout(2*limit))
})
