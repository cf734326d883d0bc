{{/* An image reference. Takes a dict of image and root. A tag with a colon in it is a digest (sha256:…). */}}
{{- define "freehold.image" -}}
{{- $tag := .image.tag | default (printf "v%s" .root.Chart.AppVersion) -}}
{{- if contains ":" $tag -}}
{{ .image.repository }}@{{ $tag }}
{{- else -}}
{{ .image.repository }}:{{ $tag }}
{{- end -}}
{{- end -}}

{{/* Labels by which the Deployment and the Service know the operator's pods. */}}
{{- define "freehold.selector" -}}
app.kubernetes.io/name: freehold
app.kubernetes.io/component: manager
{{- end -}}

{{/* Labels of objects. */}}
{{- define "freehold.labels" -}}
{{ include "freehold.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* A map as k=v,k=v, in the order of its keys. */}}
{{- define "freehold.pairs" -}}
{{- $pairs := list -}}
{{- range $key, $value := . -}}
{{- $pairs = append $pairs (printf "%s=%s" $key $value) -}}
{{- end -}}
{{ join "," $pairs }}
{{- end -}}

{{/* The groups for breaking the glass, as a list in CEL. values.schema.json keeps quotes out of their names. */}}
{{- define "freehold.breakGlassGroups" -}}
['{{ join "', '" .Values.protection.breakGlassGroups }}']
{{- end -}}

{{/* The same groups as subjects of a binding. */}}
{{- define "freehold.breakGlassSubjects" -}}
{{- range .Values.protection.breakGlassGroups }}
- apiGroup: rbac.authorization.k8s.io
  kind: Group
  name: {{ . | quote }}
{{- end }}
{{- end -}}
