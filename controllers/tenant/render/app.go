// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// app is the application as its class describes it. Its first init container waits until the database lets the
// application's role in: an application that starts too early would be started again with growing pauses.
func app(in Inputs, files string) *appsv1ac.StatefulSetApplyConfiguration {
	class := in.Class.Spec.App
	who := identity{or(class.Pod.RunAsUser, defaultAppUser), or(class.Pod.RunAsGroup, defaultAppUser), or(class.Pod.FSGroup, defaultAppUser)}
	template := podTemplate(in, meta.ComponentApp, meta.AppStatefulSet, who,
		or(class.Pod.TerminationGracePeriodSeconds, defaultGrace), class.Pod.Scheduling)
	trust := fromConfigMap("trust", meta.TrustConfigMap, meta.TrustDir)
	credentials := fromSecret("credentials", meta.CredentialsSecret, meta.CredentialsDir)
	own := append([]mounted{trust}, appMounts(in, files)...)
	wait := agent(container(meta.ContainerWait, databaseImage(in), pullPolicy(in), waitLimits), "wait", "database").
		WithVolumeMounts(mounts(trust, credentials)...)
	template.Spec.WithVolumes(podVolumes(append(own, credentials)...)...).
		WithInitContainers(wait).WithContainers(appContainer(in, own))
	return statefulSet(in, meta.AppStatefulSet, meta.AppService, meta.ComponentApp, template)
}

func appContainer(in Inputs, own []mounted) *corev1ac.ContainerApplyConfiguration {
	class := in.Class.Spec.App
	port, _ := appPort(in)
	made := container(meta.ContainerApp, string(class.Image), or(class.ImagePullPolicy, corev1.PullIfNotPresent), appLimits(in)).
		WithVolumeMounts(mounts(own...)...).
		WithPorts(corev1ac.ContainerPort().WithName(meta.AppPortName).WithContainerPort(port).WithProtocol(corev1.ProtocolTCP)).
		WithEnv(environment(in)...)
	if len(class.Command) > 0 {
		made.WithCommand(class.Command...)
	}
	if len(class.Args) > 0 {
		made.WithArgs(class.Args...)
	}
	return appProbes(in, made)
}

// appProbes restart the application only when its port is dead: one that answers 500 because its database is away
// gains nothing by a restart.
func appProbes(in Inputs, c *corev1ac.ContainerApplyConfiguration) *corev1ac.ContainerApplyConfiguration {
	startup := or(in.Class.Spec.App.Probes.StartupSeconds, defaultStartupSeconds)
	return c.
		WithStartupProbe(appProbe(in).WithPeriodSeconds(startupPeriod).WithTimeoutSeconds(5).
			WithFailureThreshold((startup + startupPeriod - 1) / startupPeriod)).
		WithReadinessProbe(appProbe(in).WithPeriodSeconds(2).WithFailureThreshold(3).WithTimeoutSeconds(5)).
		WithLivenessProbe(tcpProbe(meta.AppPortName).WithPeriodSeconds(10).WithFailureThreshold(6).WithTimeoutSeconds(5))
}

func appProbe(in Inputs) *corev1ac.ProbeApplyConfiguration {
	probe := in.Class.Spec.App.Probes.Readiness
	if probe == nil {
		return tcpProbe(meta.AppPortName)
	}
	scheme := corev1.URISchemeHTTP
	if _, tls := appPort(in); tls {
		scheme = corev1.URISchemeHTTPS
	}
	return httpProbe(meta.AppPortName, probe.Path, scheme)
}

func tcpProbe(port string) *corev1ac.ProbeApplyConfiguration {
	return corev1ac.Probe().WithTCPSocket(corev1ac.TCPSocketAction().WithPort(intstr.FromString(port)))
}

// appMounts are what only the application's own container sees.
func appMounts(in Inputs, files string) []mounted {
	class := in.Class.Spec.App
	made := []mounted{scratch("tmp", tmpDir, scratchLimit)}
	if _, tls := appPort(in); tls {
		made = append(made, fromSecret("tls", meta.AppTLSSecret, meta.TLSDir))
	}
	if class.DataVolume != nil {
		made = append(made, fromClaim(dataVolume, meta.AppClaim, string(class.DataVolume.MountPath)))
	}
	for i, path := range class.Pod.WritablePaths {
		made = append(made, scratch(fmt.Sprintf("writable-%02d", i), string(path), scratchLimit))
	}
	for i, file := range class.Files {
		one := fromConfigMap("files", files, string(file.Path))
		one.subPath = fileKey(i)
		made = append(made, one)
	}
	return made
}

// appConfigMap holds the class's files; nil when there are none. Keys are numbers, since a key may not hold a path.
func appConfigMap(in Inputs) *corev1ac.ConfigMapApplyConfiguration {
	files := in.Class.Spec.App.Files
	if len(files) == 0 {
		return nil
	}
	data := map[string]string{}
	for i, file := range files {
		data[fileKey(i)] = file.Content
	}
	return immutableConfigMap(in, meta.ComponentApp, data)
}

func fileKey(i int) string { return fmt.Sprintf("file-%02d", i) }

// environment are the application's variables in the order of the class. Kubernetes replaces $(NAME) in plain
// values: none of them holds a $, and values from Secrets are not looked at.
func environment(in Inputs) []*corev1ac.EnvVarApplyConfiguration {
	made := make([]*corev1ac.EnvVarApplyConfiguration, 0, len(in.Class.Spec.App.Env))
	for _, variable := range in.Class.Spec.App.Env {
		made = append(made, environmentVariable(in, variable))
	}
	return made
}

func environmentVariable(in Inputs, variable v1alpha1.EnvVar) *corev1ac.EnvVarApplyConfiguration {
	made := corev1ac.EnvVar().WithName(variable.Name)
	switch {
	case variable.Source != "":
		if key, secret := credentialKeys[variable.Source]; secret {
			return made.WithValueFrom(secretKey(meta.CredentialsSecret, key, false))
		}
		return made.WithValue(knownValue(in, variable.Source))
	case variable.Generated != "":
		return made.WithValueFrom(secretKey(meta.GeneratedSecret, variable.Generated, false))
	case variable.SecretKeyRef != nil:
		ref := variable.SecretKeyRef
		return made.WithValueFrom(secretKey(ref.Name, ref.Key, ref.Optional))
	default:
		return made.WithValue(variable.Value)
	}
}

func secretKey(secret, key string, optional bool) *corev1ac.EnvVarSourceApplyConfiguration {
	selector := corev1ac.SecretKeySelector().WithName(secret).WithKey(key)
	if optional {
		selector.WithOptional(true)
	}
	return corev1ac.EnvVarSource().WithSecretKeyRef(selector)
}

// credentialKeys are the sources that stand in the Secret with the database's credentials.
var credentialKeys = map[v1alpha1.EnvSource]string{
	v1alpha1.EnvDatabaseURL:      meta.KeyDatabaseURL,
	v1alpha1.EnvDatabaseHost:     meta.KeyDatabaseHost,
	v1alpha1.EnvDatabasePort:     meta.KeyDatabasePort,
	v1alpha1.EnvDatabaseName:     meta.KeyDatabaseName,
	v1alpha1.EnvDatabaseUser:     meta.KeyDatabaseUser,
	v1alpha1.EnvDatabasePassword: meta.KeyDatabasePassword,
}

// knownValue is a source's value that is no secret.
func knownValue(in Inputs, source v1alpha1.EnvSource) string {
	hostname := string(in.Tenant.Spec.Hostnames[0])
	switch source {
	case v1alpha1.EnvDatabaseCAFile:
		return meta.TrustDir + "/" + meta.KeyCACert
	case v1alpha1.EnvTLSCertificateFile:
		return meta.TLSDir + "/" + meta.KeyTLSCert
	case v1alpha1.EnvTLSKeyFile:
		return meta.TLSDir + "/" + meta.KeyTLSKey
	case v1alpha1.EnvURL:
		return "https://" + hostname
	case v1alpha1.EnvHostname:
		return hostname
	case v1alpha1.EnvTenantName:
		return in.Tenant.Name
	case v1alpha1.EnvDisplayName:
		return displayName(in)
	default:
		// The API accepts no other; a name is at least seen by whoever looks for the mistake.
		return "unknown-source-" + strconv.Quote(string(source))
	}
}
