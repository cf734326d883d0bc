// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

const (
	operatorNamespace = "freehold-system"
	// auditInterval is how often the operator looks at a tenant's Secrets here; the product's default is 10m.
	auditInterval = "20s"
	// probeInterval is how often walls are put to the proof here; the product's default is 10m.
	probeInterval = "60s"
	// evidenceInterval is how often the operator says how far archives are here; the product's default is 15m.
	evidenceInterval = "20s"
	// asideInterval is how long a destination that is set aside waits for the next attempt here; the product's default is 15m.
	asideInterval = "2m"
	// verifications is how many tenants' backups are proven at a time here; the product's default is 2.
	verifications = "4"

	// prompt is for what the operator or the API server does by itself, patient for what also needs pods to
	// start on a small machine that is busy with other stories.
	prompt  = 60 * time.Second
	patient = 6 * time.Minute
	// limit ends a story that hangs; what it waits for has limits of its own.
	limit = 15 * time.Minute
	// long is the priority of stories that take many minutes: they begin first, so that in the end nobody waits for one.
	long = 1
	// steady is how long something must not happen.
	steady = 5 * time.Second
)

// started tells the runs of this suite apart.
var started = time.Now().Unix()

// api talks to the cluster without a cache, as its administrator.
var api client.Client

// breakGlass does the same as an administrator who breaks the glass: it may delete what is protected. withGlass are
// the arguments with which kubectl does so.
var (
	breakGlass client.Client
	withGlass  = []string{"--as=e2e", "--as-group=freehold:break-glass", "--as-group=system:masters"}
)

func TestStories(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Freehold's user stories")
}

// The operator and the classes are there once for all processes that tell stories; each of them has clients of its own.
var _ = SynchronizedBeforeSuite(func(ctx SpecContext) {
	connect()
	By("installing the operator from its chart")
	_, missing = try(ctx, "helm", "status", "freehold", "--namespace", operatorNamespace)
	install(ctx)
	By("making the classes")
	for _, class := range classes() {
		renewClass(ctx, class)
	}
}, func(SpecContext) { connect() }, NodeTimeout(10*time.Minute))

// missing says that there was no operator before this run.
var missing error

// What the first process made it removes when all of them have ended.
var _ = SynchronizedAfterSuite(func(SpecContext) {}, func(ctx SpecContext) {
	if api == nil {
		return
	}
	for _, class := range classes() {
		Expect(client.IgnoreNotFound(api.Delete(ctx, class))).To(Succeed())
	}
	if missing != nil && os.Getenv("KEEP_CLUSTER") == "" {
		run(ctx, "helm", "uninstall", "freehold", "--namespace", operatorNamespace, "--wait")
	}
}, NodeTimeout(limit))

// connect makes the clients and says how patient Gomega is.
func connect() {
	log.SetLogger(zap.New(zap.WriteTo(GinkgoWriter)))
	SetDefaultEventuallyTimeout(patient)
	SetDefaultEventuallyPollingInterval(250 * time.Millisecond)
	SetDefaultConsistentlyDuration(steady)
	SetDefaultConsistentlyPollingInterval(250 * time.Millisecond)
	scheme := runtime.NewScheme()
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	Expect(apiextensionsv1.AddToScheme(scheme)).To(Succeed())
	config, err := ctrl.GetConfig()
	Expect(err).NotTo(HaveOccurred(), "the suite needs a cluster: `make e2e` starts one")
	config.QPS = -1
	api, err = client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	glass := rest.CopyConfig(config)
	glass.Impersonate = rest.ImpersonationConfig{UserName: "e2e", Groups: []string{"freehold:break-glass", "system:masters"}}
	breakGlass, err = client.New(glass, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
}

// install installs or upgrades the chart; more are further helm arguments. It returns when the operator works.
func install(ctx context.Context, more ...string) {
	GinkgoHelper()
	arguments := []string{"upgrade", "--install", "freehold", filepath.Join(root(), "charts", "freehold"),
		"--namespace", operatorNamespace, "--create-namespace", "--wait", "--timeout", "5m", "--hide-notes",
		"--set", "auditInterval=" + auditInterval + ",probe.interval=" + probeInterval + ",backups.evidenceInterval=" + evidenceInterval + ",backups.asideInterval=" + asideInterval +
			",backups.concurrentVerifications=" + verifications}
	arguments = append(arguments, chartArguments()...)
	run(ctx, "helm", append(arguments, more...)...)
}

// chartArguments name the images and networks: those of the local cluster, or what HELM_ARGS says.
func chartArguments() []string {
	if given := os.Getenv("HELM_ARGS"); given != "" {
		return strings.Fields(given)
	}
	arguments := []string{"--set", "cluster.networks={10.90.0.0/16,10.244.0.0/16,10.96.0.0/16}",
		// The image may have changed under the same name: each run starts a new pod.
		"--set-string", fmt.Sprintf("podAnnotations.freehold\\.dev/e2e-run=%d", started)}
	for _, image := range []string{"manager", "postgres", "edge"} {
		arguments = append(arguments, "--set", fmt.Sprintf("images.%s.repository=localhost/freehold-%s,images.%s.tag=dev", image, image, image))
	}
	return arguments
}

// onLocalCluster says whether the cluster is hack/devcluster, whose node may be restarted and which has clients.
func onLocalCluster() bool { return os.Getenv("FREEHOLD_DEVCLUSTER") == "yes" }

// needLocalCluster skips what only the local cluster can do.
func needLocalCluster() {
	if !onLocalCluster() {
		Skip("this needs the local cluster (hack/devcluster): it restarts the node or sends packets from several addresses")
	}
}

// run runs a program and returns what it wrote; a failure ends the story and shows that.
func run(ctx context.Context, program string, arguments ...string) string {
	GinkgoHelper()
	out, err := try(ctx, program, arguments...)
	Expect(err).NotTo(HaveOccurred(), "%s %s: %s", program, strings.Join(arguments, " "), out)
	return out
}

func try(ctx context.Context, program string, arguments ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, arguments...)
	cmd.Dir = root()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return strings.TrimSpace(out.String()), err
}

func root() string {
	dir, err := os.Getwd()
	Expect(err).NotTo(HaveOccurred())
	return filepath.Dir(filepath.Dir(dir))
}

// renewClass makes a class, or makes one left by an earlier run be as wanted.
func renewClass(ctx context.Context, class *v1alpha1.TenantClass) {
	GinkgoHelper()
	spec := class.Spec.DeepCopy()
	err := api.Create(ctx, class)
	if apierrors.IsAlreadyExists(err) {
		Expect(api.Get(ctx, client.ObjectKeyFromObject(class), class)).To(Succeed())
		class.Spec = *spec
		err = api.Update(ctx, class)
	}
	Expect(err).NotTo(HaveOccurred())
}

// operatorPod is the pod that works now.
func operatorPod(ctx context.Context) *corev1.Pod {
	GinkgoHelper()
	var pod *corev1.Pod
	Eventually(func(g Gomega) {
		var pods corev1.PodList
		g.Expect(api.List(ctx, &pods, client.InNamespace(operatorNamespace), client.MatchingLabels{"app.kubernetes.io/name": "freehold", "app.kubernetes.io/component": "manager"})).To(Succeed())
		pod = nil
		for i := range pods.Items {
			if pods.Items[i].DeletionTimestamp == nil {
				pod = &pods.Items[i]
			}
		}
		g.Expect(pod).NotTo(BeNil(), "the operator should have a pod")
		g.Expect(ready(pod)).To(BeTrue(), "the operator's pod should be ready")
	}).WithContext(ctx).Should(Succeed())
	return pod
}

func ready(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// killOperator removes the operator's pod without asking it; its Deployment makes another.
func killOperator(ctx context.Context) {
	GinkgoHelper()
	pod := operatorPod(ctx)
	Expect(api.Delete(ctx, pod, client.GracePeriodSeconds(0))).To(Succeed())
}

// restartOperator kills the operator and waits until the next one has taken over.
func restartOperator(ctx context.Context) {
	GinkgoHelper()
	before := operatorPod(ctx).Name
	killOperator(ctx)
	Eventually(func(g Gomega) {
		holder, err := try(ctx, "kubectl", "get", "lease", "-n", operatorNamespace, "manager.freehold.dev", "-o", "jsonpath={.spec.holderIdentity}")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(holder).NotTo(BeEmpty())
		g.Expect(holder).NotTo(HavePrefix(before+"_"), "another operator should lead")
	}).WithContext(ctx).Should(Succeed())
}

// Evidence: what one needs to see why a story failed, taken before the story cleans up.
var _ = JustAfterEach(func() {
	if !CurrentSpecReport().Failed() || api == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var tenants v1alpha1.TenantList
	_ = api.List(ctx, &tenants)
	show(ctx, "kubectl", "get", "tenants,tenantclasses,nodes,pv", "-o", "wide")
	for i := range tenants.Items {
		show(ctx, "kubectl", "describe", "tenant", tenants.Items[i].Name)
	}
	var namespaces corev1.NamespaceList
	_ = api.List(ctx, &namespaces, client.HasLabels{v1alpha1.LabelTenant})
	for _, ns := range namespaces.Items {
		show(ctx, "kubectl", "get", "namespace", ns.Name, "-o", "yaml")
		show(ctx, "kubectl", "get", "all,pvc,configmap,networkpolicy,quota,endpointslices", "-n", ns.Name, "-o", "wide")
		show(ctx, "kubectl", "get", "events", "-n", ns.Name, "--sort-by=.lastTimestamp")
		show(ctx, "kubectl", "describe", "pods", "-n", ns.Name)
		for _, pod := range []string{"statefulset/db", "statefulset/app", "deployment/edge"} {
			show(ctx, "kubectl", "logs", "-n", ns.Name, pod, "--all-containers", "--tail=40")
		}
	}
	show(ctx, "kubectl", "logs", "-n", operatorNamespace, "deployment/freehold-manager", "--tail=300")
	show(ctx, "kubectl", "get", "pods", "-A", "-o", "wide")
})

func show(ctx context.Context, program string, arguments ...string) {
	out, _ := try(ctx, program, arguments...)
	GinkgoWriter.Printf("\n--- %s %s\n%s\n", program, strings.Join(arguments, " "), out)
}

// pipe runs a program with an input; a failure ends the story.
func pipe(ctx context.Context, input, program string, arguments ...string) {
	GinkgoHelper()
	out, err := tryPipe(ctx, input, program, arguments...)
	Expect(err).NotTo(HaveOccurred(), "%s %s: %s", program, strings.Join(arguments, " "), out)
}

func tryPipe(ctx context.Context, input, program string, arguments ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, arguments...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
