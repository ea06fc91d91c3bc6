// Package deploy checks the files for operators with the libraries of Helm, Kubernetes and
// Prometheus. It is a separate module, because these libraries are large.
package deploy

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

// manifests are the manifests that the chart renders.
type manifests struct {
	deployment apps.Deployment
	config     core.ConfigMap
	services   map[string]core.Service
	budget     *policy.PodDisruptionBudget
	ingress    *networking.Ingress
	monitor    *monitoring.ServiceMonitor
	notes      string
}

const name = "rooms-moim"

// minimal are the values that have no default.
const minimal = "image: {repository: registry.example.com/moim}\n"

const full = `
image: {repository: registry.example.com/moim, tag: 1.2.3, pullPolicy: Always, pullSecrets: [registry]}
replicas: 5
secret: {name: rooms, keys: [MOIM_DATABASE_URL, MOIM_AUTH_SECRET, MOIM_REDIS_SOCKET_URL, MOIM_REDIS_GROUP_URL, MOIM_REDIS_CACHE_URL]}
config:
  http.proxies: [10.0.0.0/8]
  http.origins: ["https://app.example.com"]
  group.retention.count: 5000
  console.enabled: false
  log.level: debug
drain: {endpointsSeconds: 10, deadlineSeconds: 60}
memoryMiB: 2048
cpu: 1500m
ipFamily: IPv6
env: [{name: OTEL_EXPORTER_OTLP_ENDPOINT, value: "http://collector:4318"}]
service: {type: LoadBalancer, port: 8080, annotations: {example.com/balancer: internal}}
ingress:
  enabled: true
  className: nginx
  annotations: {nginx.ingress.kubernetes.io/proxy-read-timeout: "60"}
  host: chat.example.com
  path: /
  tlsSecretName: chat-tls
podDisruptionBudget: {enabled: true, maxUnavailable: 25%}
serviceMonitor: {enabled: true, interval: 30s, labels: {release: prometheus}}
serviceAccountName: moim
podAnnotations: {example.com/team: rooms}
podLabels: {team: rooms}
nodeSelector: {kubernetes.io/arch: amd64}
tolerations: [{key: dedicated, operator: Exists}]
affinity: {nodeAffinity: {}}
priorityClassName: high
`

// render returns the manifests that Helm renders from values, or its error.
func render(t *testing.T, values string) (map[string]string, error) {
	t.Helper()
	chart, err := loader.Load("helm/moim")
	if err != nil {
		t.Fatal(err)
	}
	given, err := chartutil.ReadValues([]byte(values))
	if err != nil {
		t.Fatal(err)
	}
	options := chartutil.ReleaseOptions{Name: "rooms", Namespace: "chat", Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(chart, given, options, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	return engine.Engine{Strict: true}.Render(chart, all)
}

// decode decodes manifests like Kubernetes, and refuses unknown fields.
func decode(t *testing.T, files map[string]string) manifests {
	t.Helper()
	m := manifests{services: map[string]core.Service{}}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if path.Base(file) == "NOTES.txt" {
			m.notes = files[file]
			continue
		}
		for _, text := range strings.Split(files[file], "\n---\n") {
			if strings.TrimSpace(text) == "" {
				continue
			}
			var kind struct{ Kind string }
			if err := yaml.Unmarshal([]byte(text), &kind); err != nil {
				t.Fatalf("%s: %v\n%s", file, err, text)
			}
			var into any
			var service core.Service
			switch kind.Kind {
			case "Deployment":
				into = &m.deployment
			case "ConfigMap":
				into = &m.config
			case "Service":
				into = &service
			case "PodDisruptionBudget":
				m.budget = new(policy.PodDisruptionBudget)
				into = m.budget
			case "Ingress":
				m.ingress = new(networking.Ingress)
				into = m.ingress
			case "ServiceMonitor":
				m.monitor = new(monitoring.ServiceMonitor)
				into = m.monitor
			default:
				t.Fatalf("%s has a %q, which this test does not know", file, kind.Kind)
			}
			if err := yaml.UnmarshalStrict([]byte(text), into); err != nil {
				t.Fatalf("%s: %v\n%s", file, err, text)
			}
			if kind.Kind == "Service" {
				m.services[service.Name] = service
			}
		}
	}
	return m
}

// chart renders the chart and decodes the manifests.
func chart(t *testing.T, values string) manifests {
	t.Helper()
	files, err := render(t, values)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, files)
}

func TestChartWithDefaults(t *testing.T) {
	t.Parallel()
	m := chart(t, minimal)
	coherent(t, m)
	if m.ingress != nil || m.monitor != nil || len(m.services) != 1 || m.budget == nil {
		t.Errorf("ingress %v, monitor %v, %d services, budget %v", m.ingress, m.monitor, len(m.services), m.budget)
	}
	pod := m.deployment.Spec.Template.Spec
	if got := *pod.TerminationGracePeriodSeconds; got != 5+20+5 {
		t.Errorf("a pod has %d s to end", got)
	}
	want := map[string]string{
		"MOIM_NODE_URL": "http://$(POD_IP):8080", "MOIM_DRAIN_DEADLINE": "20s", "GOMEMLIMIT": "821MiB",
	}
	for _, env := range pod.Containers[0].Env {
		if value, ok := want[env.Name]; ok && value != env.Value {
			t.Errorf("%s is %q, want %q", env.Name, env.Value, value)
		}
		delete(want, env.Name)
	}
	if len(want) > 0 {
		t.Errorf("not set: %v", want)
	}
	if strings.Contains(m.notes, "WARNING") {
		t.Errorf("the notes warn:\n%s", m.notes)
	}
}

func TestChartWithAllValues(t *testing.T) {
	t.Parallel()
	m := chart(t, full)
	coherent(t, m)
	pod := m.deployment.Spec.Template.Spec
	if got := *pod.TerminationGracePeriodSeconds; got != 10+60+5 {
		t.Errorf("a pod has %d s to end", got)
	}
	if got := pod.Containers[0].Image; got != "registry.example.com/moim:1.2.3" {
		t.Errorf("image %s", got)
	}
	if !strings.Contains(m.config.Data["moim.yaml"], "group.retention.count: 5000\n") {
		t.Errorf("moim.yaml:\n%s", m.config.Data["moim.yaml"])
	}
	if m.ingress == nil || m.monitor == nil {
		t.Fatal("no ingress or no ServiceMonitor")
	}
	backend := m.ingress.Spec.Rules[0].HTTP.Paths[0].Backend.Service
	if _, ok := m.services[backend.Name]; !ok || backend.Port.Name != "http" {
		t.Errorf("the ingress leads to %v", backend)
	}
	if got := m.ingress.Spec.TLS[0]; got.SecretName != "chat-tls" || !slices.Equal(got.Hosts, []string{"chat.example.com"}) {
		t.Errorf("TLS: %v", got)
	}
	selected := 0
	for _, service := range m.services {
		if matches(m.monitor.Spec.Selector.MatchLabels, service.Labels) {
			selected++
			if service.Spec.Ports[0].Name != m.monitor.Spec.Endpoints[0].Port {
				t.Errorf("Prometheus reads port %s of %s", m.monitor.Spec.Endpoints[0].Port, service.Name)
			}
		}
	}
	if selected != 1 {
		t.Errorf("the ServiceMonitor selects %d services", selected)
	}
	if without := chart(t, full+"\npodDisruptionBudget: {enabled: false}\n"); without.budget != nil {
		t.Error("a budget that is switched off is there")
	}
}

// coherent checks that each reference in the manifests has a target.
func coherent(t *testing.T, m manifests) {
	t.Helper()
	if m.deployment.Name != name {
		t.Errorf("the deployment is called %q", m.deployment.Name)
	}
	spec, pod := m.deployment.Spec, m.deployment.Spec.Template
	container := pod.Spec.Containers[0]
	ports := map[string]bool{}
	for _, p := range container.Ports {
		ports[p.Name] = true
	}
	selectors := map[string]map[string]string{
		"deployment": spec.Selector.MatchLabels, "spread": pod.Spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels,
	}
	if m.budget != nil {
		selectors["budget"] = m.budget.Spec.Selector.MatchLabels
	}
	for _, service := range m.services {
		selectors["service "+service.Name] = service.Spec.Selector
		for _, p := range service.Spec.Ports {
			if !ports[p.TargetPort.StrVal] {
				t.Errorf("service %s leads to port %s, which the pod has not", service.Name, p.TargetPort.StrVal)
			}
		}
	}
	for what, selector := range selectors {
		if len(selector) == 0 || !matches(selector, pod.Labels) {
			t.Errorf("%s selects %v, pods have %v", what, selector, pod.Labels)
		}
	}
	if got := pod.Spec.Volumes[0].ConfigMap.Name; got != m.config.Name {
		t.Errorf("the pod mounts %s, the ConfigMap is %s", got, m.config.Name)
	}
	if !slices.Contains(container.Args, path.Join(container.VolumeMounts[0].MountPath, slices.Collect(maps.Keys(m.config.Data))[0])) {
		t.Errorf("arguments %v, mount %v", container.Args, container.VolumeMounts)
	}
	s := container.SecurityContext
	if !*pod.Spec.SecurityContext.RunAsNonRoot || !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || !slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) {
		t.Errorf("security: %v %v", pod.Spec.SecurityContext, s)
	}
	for what, probe := range map[string]*core.Probe{"startup": container.StartupProbe, "liveness": container.LivenessProbe, "readiness": container.ReadinessProbe} {
		if !ports[probe.HTTPGet.Port.StrVal] {
			t.Errorf("the %s probe asks port %s", what, probe.HTTPGet.Port.StrVal)
		}
	}
}

// matches reports whether the labels match a selector.
func matches(selector, labels map[string]string) bool {
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return true
}

func TestWrongValuesAreRefused(t *testing.T) {
	t.Parallel()
	for values, says := range map[string]string{
		"":                        "image",
		minimal + "replica: 3":    "replica",
		minimal + "replicas: 0":   "replicas",
		minimal + "replicas: two": "replicas",
		minimal + "secret: {keys: [MOIM_AUTH_SECRET]}":       "secret",
		minimal + "secret: {name: ''}":                       "secret",
		minimal + "config: {auth.secret: abc}":               "auth.secret",
		minimal + "config: {database.url: 'sqlite:x'}":       "database.url",
		minimal + "config: {node.url: 'http://x'}":           "node.url",
		minimal + "config: {auth: {secret: abc}}":            "auth",
		minimal + "drain: {deadlineSeconds: 20s}":            "drain",
		minimal + "memoryMiB: 64":                            "memoryMiB",
		minimal + "memoryMiB: 1Gi":                           "memoryMiB",
		minimal + "ipFamily: dual":                           "ipFamily",
		minimal + "env: [{name: MOIM_NODE_URL}]":             "env",
		minimal + "ingress: {enabled: true}":                 "ingress",
		minimal + "ingress: {hosts: [a]}":                    "ingress",
		minimal + "service: {type: ExternalName}":            "service",
		minimal + "podDisruptionBudget: {maxUnavailable: 0}": "podDisruptionBudget",
		minimal + "serviceMonitor: {enabled: maybe}":         "serviceMonitor",
	} {
		_, err := render(t, values)
		if err == nil || !strings.Contains(fmt.Sprint(err), says) {
			t.Errorf("%q: %v", values, err)
		}
	}
}

// TestNotesWarn checks the warning about load balancers. Behind one, all clients have the same
// address unless the node trusts the balancer.
func TestNotesWarn(t *testing.T) {
	t.Parallel()
	behind := minimal + "service: {type: LoadBalancer}\n"
	if m := chart(t, behind); !strings.Contains(m.notes, "http.proxies") {
		t.Errorf("no warning:\n%s", m.notes)
	}
	if m := chart(t, behind+"config: {http.proxies: [10.0.0.0/8]}\n"); strings.Contains(m.notes, "WARNING") {
		t.Errorf("a warning:\n%s", m.notes)
	}
}
