// SPDX-License-Identifier: Apache-2.0

package netpol

// meaningCase is a statement of the published meaning of NetworkPolicy. The
// model has to give these verdicts, and so have real packets.
type meaningCase struct {
	name string
	// policies by namespace/name.
	policies        map[string]string
	allowed, denied []string
}

var meaningCases = []meaningCase{{
	name:    "without policies everything is open",
	allowed: []string{"shop/web > bank/db tcp/5432", "client10 > shop/db udp/53", "shop/web > node tcp/6443"},
}, {
	name:     "a policy without rules denies the direction of its type and nothing else",
	policies: map[string]string{"shop/deny": `{podSelector: {}, policyTypes: [Ingress]}`},
	allowed:  []string{"shop/web > bank/web tcp/9090", "shop/web > client10 tcp/80", "client10 > bank/web tcp/9090"},
	denied:   []string{"shop/web > shop/db tcp/5432", "bank/web > shop/web tcp/8080", "client10 > shop/web tcp/8080"},
}, {
	name:     "without policyTypes a policy without egress rules leaves egress open",
	policies: map[string]string{"shop/deny": `{podSelector: {}}`},
	allowed:  []string{"shop/web > bank/web tcp/9090", "shop/web > node tcp/6443"},
	denied:   []string{"bank/web > shop/web tcp/8080"},
}, {
	name:     "without policyTypes egress rules isolate both directions",
	policies: map[string]string{"shop/out": `{podSelector: {}, egress: [{to: [{ipBlock: {cidr: 198.19.0.10/32}}]}]}`},
	allowed:  []string{"shop/web > client10 tcp/80"},
	denied:   []string{"shop/web > client20 tcp/80", "client10 > shop/web tcp/8080"},
}, {
	name:     "the type Egress alone leaves ingress open",
	policies: map[string]string{"shop/deny": `{podSelector: {}, policyTypes: [Egress]}`},
	allowed:  []string{"bank/web > shop/web tcp/8080", "client10 > shop/web tcp/8080"},
	denied: []string{"shop/web > bank/web tcp/9090", "shop/web > client10 tcp/80", "shop/web > shop/db udp/53",
		"shop/web > node tcp/6443", "shop/web > node udp/53"},
}, {
	name:     "a type Ingress alone ignores egress rules",
	policies: map[string]string{"shop/in": `{podSelector: {}, policyTypes: [Ingress], egress: [{to: [{podSelector: {}}]}]}`},
	allowed:  []string{"shop/web > bank/web tcp/9090"},
	denied:   []string{"bank/web > shop/web tcp/8080"},
}, {
	name:     "an empty rule allows everybody on every port",
	policies: map[string]string{"shop/open": `{podSelector: {}, ingress: [{}]}`},
	allowed:  []string{"client10 > shop/db tcp/5432", "bank/web > shop/db udp/53"},
}, {
	name:     "an empty from allows everybody on the listed ports",
	policies: map[string]string{"shop/open": `{podSelector: {}, ingress: [{from: [], ports: [{port: 5432}]}]}`},
	allowed:  []string{"client10 > shop/db tcp/5432", "bank/web > shop/db tcp/5432"},
	denied:   []string{"bank/web > shop/db udp/53", "client10 > shop/web tcp/8080"},
}, {
	name:     "a policy holds only for the pods that it selects",
	policies: map[string]string{"shop/db": `{podSelector: {matchLabels: {app: db}}}`},
	allowed:  []string{"bank/web > shop/web tcp/8080", "bank/web > bank/db tcp/5432"},
	denied:   []string{"shop/web > shop/db tcp/5432"},
}, {
	name:     "a podSelector speaks of the policy's own namespace",
	policies: map[string]string{"shop/db": `{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}`},
	allowed:  []string{"shop/web > shop/db tcp/5432"},
	denied:   []string{"bank/web > shop/db tcp/5432", "client10 > shop/db tcp/5432"},
}, {
	name:     "an empty podSelector means all pods of the own namespace",
	policies: map[string]string{"shop/own": `{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}`},
	allowed:  []string{"shop/web > shop/db tcp/5432", "shop/db > shop/web tcp/8080"},
	denied:   []string{"bank/db > shop/db tcp/5432"},
}, {
	name:     "a namespaceSelector alone means all pods of those namespaces",
	policies: map[string]string{"shop/db": `{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: b}}}]}]}`},
	allowed:  []string{"bank/web > shop/db tcp/5432", "bank/db > shop/db tcp/5432"},
	denied:   []string{"shop/web > shop/db tcp/5432", "client10 > shop/db tcp/5432"},
}, {
	name:     "an empty namespaceSelector means all pods of the cluster and nobody outside",
	policies: map[string]string{"shop/db": `{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}`},
	allowed:  []string{"bank/web > shop/db tcp/5432", "shop/web > shop/db tcp/5432"},
	denied:   []string{"client10 > shop/db tcp/5432"},
}, {
	name: "both selectors in one peer have to match together",
	policies: map[string]string{"shop/db": `{podSelector: {matchLabels: {app: db}}, ingress: [{from: [
		{namespaceSelector: {matchLabels: {team: b}}, podSelector: {matchLabels: {app: web}}}]}]}`},
	allowed: []string{"bank/web > shop/db tcp/5432"},
	denied:  []string{"bank/db > shop/db tcp/5432", "shop/web > shop/db tcp/5432"},
}, {
	name: "two peers are alternatives",
	policies: map[string]string{"shop/db": `{podSelector: {matchLabels: {app: db}}, ingress: [{from: [
		{namespaceSelector: {matchLabels: {team: b}}}, {podSelector: {matchLabels: {app: web}}}]}]}`},
	allowed: []string{"bank/db > shop/db tcp/5432", "shop/web > shop/db tcp/5432"},
	denied:  []string{"client10 > shop/db tcp/5432"},
}, {
	name: "NotIn matches pods without the label, DoesNotExist those, Exists the others",
	policies: map[string]string{
		"shop/db":  `{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchExpressions: [{key: tier, operator: NotIn, values: [front]}]}}]}]}`,
		"bank/db":  `{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchExpressions: [{key: tier, operator: Exists}]}}]}]}`,
		"bank/web": `{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchExpressions: [{key: tier, operator: DoesNotExist}, {key: app, operator: In, values: [db]}]}}]}]}`,
	},
	allowed: []string{"bank/web > shop/db tcp/5432", "shop/web > bank/db tcp/5432", "shop/db > bank/web tcp/9090"},
	denied:  []string{"shop/web > shop/db tcp/5432", "bank/web > bank/db tcp/5432", "shop/web > bank/web tcp/9090"},
}, {
	name: "peers that match nobody allow nobody",
	policies: map[string]string{
		"shop/in":  `{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: nobody}}}]}]}`,
		"bank/out": `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: nobody}}}]}]}`,
	},
	denied: []string{"client10 > shop/web tcp/8080", "shop/db > shop/web tcp/8080", "bank/web > client10 tcp/80"},
}, {
	name:     "an ipBlock has holes",
	policies: map[string]string{"shop/web": `{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 198.19.0.0/24, except: [198.19.0.16/28]}}]}]}`},
	allowed:  []string{"client10 > shop/web tcp/8080"},
	denied:   []string{"client20 > shop/web tcp/8080", "bank/web > shop/web tcp/8080"},
}, {
	name:     "the block of everything matches pods too, and its holes may overlap",
	policies: map[string]string{"shop/web": `{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [198.19.0.0/24, 198.19.0.20/32, 10.246.0.22/32]}}]}]}`},
	allowed:  []string{"bank/web > shop/web tcp/8080", "shop/db > shop/web tcp/8080"},
	denied:   []string{"client10 > shop/web tcp/8080", "client20 > shop/web tcp/8080", "bank/db > shop/web tcp/8080"},
}, {
	name:     "a hole of one peer does not close what another peer opens",
	policies: map[string]string{"shop/web": `{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 198.19.0.0/24, except: [198.19.0.20/32]}}, {ipBlock: {cidr: 198.19.0.20/32}}]}]}`},
	allowed:  []string{"client10 > shop/web tcp/8080", "client20 > shop/web tcp/8080"},
}, {
	name:     "egress to the node is egress",
	policies: map[string]string{"shop/api": `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.90.0.1/32}}], ports: [{port: 6443}]}]}`},
	allowed:  []string{"shop/web > node tcp/6443", "bank/web > node tcp/10250"},
	denied:   []string{"shop/web > node tcp/10250", "shop/web > bank/web tcp/9090"},
}, {
	name:     "a port is a TCP port unless it says otherwise",
	policies: map[string]string{"shop/db": `{podSelector: {}, ingress: [{ports: [{port: 53}]}]}`},
	allowed:  []string{"bank/web > shop/db tcp/53"},
	denied:   []string{"bank/web > shop/db udp/53"},
}, {
	name:     "a protocol without port means all its ports",
	policies: map[string]string{"shop/db": `{podSelector: {}, ingress: [{ports: [{protocol: UDP}]}]}`},
	allowed:  []string{"bank/web > shop/db udp/53", "bank/web > shop/db udp/5432"},
	denied:   []string{"bank/web > shop/db tcp/53"},
}, {
	name:     "a range of ports includes both ends; ranges may overlap",
	policies: map[string]string{"shop/web": `{podSelector: {}, ingress: [{ports: [{port: 8080, endPort: 9090}, {port: 9090, endPort: 9100}]}]}`},
	allowed:  []string{"bank/web > shop/web tcp/8080", "bank/web > shop/web tcp/8081", "bank/web > shop/web tcp/9090", "bank/web > shop/web tcp/9100"},
	denied:   []string{"bank/web > shop/web tcp/5432", "bank/web > shop/web tcp/10250", "bank/web > shop/web udp/5432"},
}, {
	name: "a named port of an ingress rule is the receiving pod's",
	policies: map[string]string{
		"shop/http": `{podSelector: {}, ingress: [{ports: [{port: http}]}]}`,
		"bank/http": `{podSelector: {}, ingress: [{ports: [{port: http}]}]}`,
	},
	allowed: []string{"client10 > shop/web tcp/8080", "client10 > bank/web tcp/9090"},
	denied:  []string{"client10 > shop/web tcp/9090", "client10 > bank/web tcp/8080", "client10 > shop/db tcp/8080", "client10 > shop/db tcp/5432"},
}, {
	name:     "sidecars have named ports, containers that only initialise have none",
	policies: map[string]string{"shop/web": `{podSelector: {}, ingress: [{ports: [{port: metrics}, {port: init}]}]}`},
	allowed:  []string{"bank/web > shop/web tcp/9100"},
	denied:   []string{"bank/web > shop/web tcp/8081"},
}, {
	name:     "the protocol of a named port has to fit",
	policies: map[string]string{"shop/db": `{podSelector: {}, ingress: [{ports: [{port: dns}, {port: pg, protocol: UDP}]}]}`},
	denied:   []string{"bank/web > shop/db tcp/53", "bank/web > shop/db udp/53", "bank/web > shop/db tcp/5432", "bank/web > shop/db udp/5432"},
}, {
	name:     "a named port of an egress rule is each peer's own",
	policies: map[string]string{"shop/out": `{podSelector: {matchLabels: {app: db}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}}], ports: [{port: http}, {port: 5432}]}]}`},
	allowed:  []string{"shop/db > shop/web tcp/8080", "shop/db > bank/web tcp/9090", "shop/db > bank/db tcp/5432"},
	denied:   []string{"shop/db > shop/web tcp/9090", "shop/db > bank/web tcp/8080", "shop/db > bank/db tcp/8080"},
}, {
	name:     "nobody outside has named ports",
	policies: map[string]string{"shop/out": `{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: http}]}]}`},
	allowed:  []string{"shop/db > bank/web tcp/9090"},
	denied:   []string{"shop/db > client10 tcp/8080", "shop/db > client10 tcp/9090"},
}, {
	name: "policies add up, those of one direction too",
	policies: map[string]string{
		"shop/deny":   `{podSelector: {}, policyTypes: [Ingress, Egress]}`,
		"shop/in":     `{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: 198.19.0.10/32}}]}]}`,
		"shop/in-too": `{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: 198.19.0.20/32}}], ports: [{port: 8080}]}]}`,
	},
	allowed: []string{"client10 > shop/web tcp/8080", "client10 > shop/web tcp/9100", "client20 > shop/web tcp/8080"},
	denied:  []string{"client20 > shop/web tcp/9100", "client10 > shop/db tcp/5432", "shop/web > client10 tcp/80"},
}, {
	name: "both ends have to agree",
	policies: map[string]string{
		"shop/out": `{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}}], ports: [{port: 5432}]}]}`,
		"bank/in":  `{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}]}]}`,
	},
	allowed: []string{"shop/web > bank/db tcp/5432"},
	denied:  []string{"shop/db > bank/db tcp/5432", "shop/web > bank/db tcp/9090"},
}, {
	name: "an isolated pod still answers those who may call it",
	policies: map[string]string{
		"shop/deny": `{podSelector: {}, policyTypes: [Ingress, Egress]}`,
		"shop/in":   `{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{ipBlock: {cidr: 198.19.0.10/32}}]}]}`,
	},
	allowed: []string{"client10 > shop/web tcp/8080", "client10 > shop/web udp/8080"},
	denied:  []string{"shop/web > client10 tcp/80"},
}, {
	name:     "a pod may always talk to itself",
	policies: map[string]string{"shop/deny": `{podSelector: {}, policyTypes: [Ingress, Egress]}`},
	allowed:  []string{"shop/web > shop/web tcp/8080"},
	denied:   []string{"shop/web > shop/db tcp/5432"},
}}
