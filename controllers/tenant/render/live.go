// SPDX-License-Identifier: Apache-2.0

package render

// Live renders what may change at any time without a restart. The error is an InvalidError when a user has to mend
// something; then nothing is rendered, and what exists stays as it is. What is invalid only in the next revision does
// not hold up what runs.
func Live(in Inputs) (*Objects, error) {
	if err := checkAlways(in); err != nil {
		return nil, err
	}
	pending, err := NewRevision(in)
	if err != nil && in.Running == nil {
		return nil, err
	}
	quota, err := quota(in, pending)
	if err != nil {
		return nil, err
	}
	balancers, err := balancersOf(in)
	if err != nil {
		return nil, err
	}
	services, err := services(in, balancers)
	if err != nil {
		return nil, err
	}
	policies, err := networkPolicies(in, balancers)
	if err != nil {
		return nil, err
	}
	return &Objects{
		Namespace:       namespace(in),
		RoleBinding:     RoleBinding(in),
		Quota:           quota,
		Limits:          limitRange(in),
		NetworkPolicies: append(policies, backupPolicies(in)...),
		ServiceAccounts: serviceAccounts(in),
		ConfigMaps:      liveConfigMaps(in, balancers),
		Services:        services,
		Claims:          claims(in),
		Budgets:         budgets(in),
		Certificate:     certificate(in),
	}, nil
}
