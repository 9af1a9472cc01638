{{- define "appstack.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* Shorter than a name may be: other names are made of it. */}}
{{- define "appstack.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- $name := include "appstack.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "appstack.selectorLabels" -}}
app.kubernetes.io/name: {{ include "appstack.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "appstack.sharedLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "appstack.labels" -}}
{{ include "appstack.selectorLabels" . }}
{{ include "appstack.sharedLabels" . }}
{{- end }}

{{- define "appstack.serviceAccountName" -}}
{{- default (ternary (include "appstack.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{- define "appstack.image" -}}
{{- with .Values.image }}
{{- with .registry }}{{ . }}/{{ end }}{{ .repository }}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- define "appstack.leaseNamespace" -}}
{{- .Values.leaderElection.namespace | default .Release.Namespace }}
{{- end }}

{{- /* A namespace as the operator is told of it: its own the kubelet fills in. */}}
{{- define "appstack.told" -}}
{{- if eq .namespace .root.Release.Namespace }}$(POD_NAMESPACE){{ else }}{{ .namespace }}{{ end }}
{{- end }}

{{- /* allowed, required, or nothing: YAML reads a bare off as false. */}}
{{- define "appstack.applyAs" -}}
{{- $applyAs := toString .Values.operator.applyAs }}
{{- if has $applyAs (list "allowed" "required") }}{{ $applyAs }}{{ end }}
{{- end }}

{{- /* Labels of a stack that the selector matches, where it is made of shard=a, shard in (a, b), shard and what must not be. */}}
{{- define "appstack.selected" -}}
{{- $key := "[A-Za-z0-9_./-]+" }}
{{- $labels := dict }}
{{- range regexFindAll (printf "%s\\s+in\\s*\\(\\s*[A-Za-z0-9_.-]+" $key) .Values.selector -1 }}
{{- $parts := regexSplit "\\s+in\\s*\\(\\s*" . 2 }}
{{- $_ := set $labels (first $parts) (last $parts) }}
{{- end }}
{{- range splitList "," (regexReplaceAll "\\s(not)?in\\s*\\([^)]*\\)" .Values.selector "!") }}
{{- $one := trim . }}
{{- if regexMatch (printf "^%s\\s*==?" $key) $one }}
{{- $parts := regexSplit "\\s*==?\\s*" $one 2 }}
{{- $_ := set $labels (first $parts) (last $parts) }}
{{- else if regexMatch (printf "^%s$" $key) $one }}
{{- $_ := set $labels $one "true" }}
{{- end }}
{{- end }}
{{- if $labels }}{{ toYaml $labels }}{{ end }}
{{- end }}

{{- define "appstack.subject" -}}
- kind: ServiceAccount
  name: {{ include "appstack.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}
