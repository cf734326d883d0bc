// SPDX-License-Identifier: Apache-2.0

package netpol

import (
	"reflect"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func policiesOf(t testing.TB, specs map[string]string) []*networkingv1.NetworkPolicy {
	t.Helper()
	var list []*networkingv1.NetworkPolicy
	for name, spec := range specs {
		list = append(list, policy(t, name, spec))
	}
	return list
}

func TestMeaningOfPolicies(t *testing.T) {
	for _, tc := range meaningCases {
		t.Run(tc.name, func(t *testing.T) {
			model := Compute(worldState(policiesOf(t, tc.policies)...))
			expectVerdicts(t, model, tc.allowed, true)
			expectVerdicts(t, model, tc.denied, false)
		})
	}
}

func expectVerdicts(t *testing.T, model Model, flows []string, allowed bool) {
	t.Helper()
	for _, text := range flows {
		f := parseFlow(t, text)
		if got := model.Permits(addresses[f.from], addresses[f.to], f.protocol, f.port); got != allowed {
			t.Errorf("%s: allowed is %v, want %v", text, got, allowed)
		}
	}
}

func TestSCTPIsAProtocolOfItsOwn(t *testing.T) {
	model := Compute(worldState(policy(t, "shop/db", `{podSelector: {}, ingress: [{ports: [{port: 5432, protocol: SCTP}]}]}`)))
	expectVerdicts(t, model, []string{"bank/web > shop/db sctp/5432"}, true)
	expectVerdicts(t, model, []string{"bank/web > shop/db tcp/5432", "bank/web > shop/db sctp/5433"}, false)
}

func TestWhatTheAPIServerWouldRefuseMatchesNothing(t *testing.T) {
	for name, spec := range map[string]string{
		"a peer without content":    `{podSelector: {}, ingress: [{from: [{}]}]}`,
		"a CIDR that is none":       `{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: everything}}]}]}`,
		"a hole that is none":       `{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [bank]}}]}]}`,
		"an IPv6 block":             `{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: "::/0"}}]}]}`,
		"a selector that is broken": `{podSelector: {}, ingress: [{from: [{podSelector: {matchExpressions: [{key: app, operator: Like}]}}]}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			model := Compute(worldState(policy(t, "shop/p", spec)))
			expectVerdicts(t, model, []string{"shop/web > shop/db tcp/5432", "client10 > shop/web tcp/8080"}, false)
		})
	}
}

func TestOldNotationsOfCIDRsAreRead(t *testing.T) {
	model := Compute(worldState(policy(t, "shop/p", `{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 198.019.0.10/24, except: [198.19.0.20/28]}}]}]}`)))
	expectVerdicts(t, model, []string{"client10 > shop/web tcp/8080"}, true)
	expectVerdicts(t, model, []string{"client20 > shop/web tcp/8080"}, false)
}

func TestTheModelDoesNotDependOnTheOrderOfItsInput(t *testing.T) {
	for _, tc := range meaningCases {
		state := worldState(policiesOf(t, tc.policies)...)
		want := Compute(state)
		slices.Reverse(state.Pods)
		slices.Reverse(state.Policies)
		if got := Compute(state); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: another order gives another model:\n%+v\nwant\n%+v", tc.name, got, want)
		}
	}
}

func TestWhichPodsArePoliced(t *testing.T) {
	base := func(change func(*corev1.Pod)) *corev1.Pod {
		p := pod("shop/web", nil)
		change(p)
		return p
	}
	for name, tc := range map[string]struct {
		pod  *corev1.Pod
		want bool
	}{
		"a running pod":                      {base(func(*corev1.Pod) {}), true},
		"a pod that still initialises":       {base(func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }), true},
		"a pod that is being deleted":        {base(func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }), true},
		"a pod that has succeeded":           {base(func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }), false},
		"a pod that has failed":              {base(func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }), false},
		"a pod without address":              {base(func(p *corev1.Pod) { p.Status.PodIP, p.Status.PodIPs = "", nil }), false},
		"a pod on the node's network":        {base(func(p *corev1.Pod) { p.Spec.HostNetwork = true }), false},
		"a pod with the node's address":      {base(func(p *corev1.Pod) { p.Status.PodIP = testNodeIP }), false},
		"a pod whose second address is IPv4": {base(func(p *corev1.Pod) { p.Status.PodIP = "fd00::1" }), true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := len(PodsOf([]*corev1.Pod{tc.pod}, addresses["node"])) == 1; got != tc.want {
				t.Errorf("policed is %v, want %v", got, tc.want)
			}
		})
	}
}

func TestOneAddressBelongsToOnePod(t *testing.T) {
	at := func(name string, second int64) *corev1.Pod {
		p := pod("shop/web", nil)
		p.Name, p.CreationTimestamp = name, metav1.Unix(second, 0)
		return p
	}
	older, younger, leaving := at("older", 1), at("younger", 2), at("leaving", 3)
	leaving.DeletionTimestamp = &metav1.Time{Time: time.Unix(4, 0)}
	for _, order := range [][]*corev1.Pod{{older, younger, leaving}, {leaving, younger, older}} {
		pods := PodsOf(order, addresses["node"])
		if len(pods) != 1 || pods[0].Name != "younger" {
			t.Errorf("the address went to %+v, want the youngest pod that stays", pods)
		}
	}
}
