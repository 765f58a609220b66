{{- define "order-food.fullname" -}}
{{- $name := .Values.fullnameOverride }}
{{- if not $name }}
{{- $name = ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name) }}
{{- end }}
{{- $name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Selectors are immutable: nothing may be added here. */}}
{{- define "order-food.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "order-food.commonLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: order-food
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "order-food.chartLabel" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Labels of pods: without the chart's version, which alone is no reason to restart them. */}}
{{- define "order-food.podLabels" -}}
{{ include "order-food.selectorLabels" . }}
{{ include "order-food.commonLabels" . }}
{{- end }}

{{- define "order-food.labels" -}}
{{ include "order-food.podLabels" . }}
{{ include "order-food.chartLabel" . }}
{{- end }}

{{/* The pod of `helm test` has a name of its own, so that `kubectl logs -l` finds only the API's pods. */}}
{{- define "order-food.testName" -}}
{{- include "order-food.fullname" . | trunc 58 | trimSuffix "-" }}-test
{{- end }}

{{- define "order-food.testSelectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "order-food.testLabels" -}}
{{ include "order-food.testSelectorLabels" . }}
{{ include "order-food.commonLabels" . }}
{{ include "order-food.chartLabel" . }}
{{- end }}

{{- define "order-food.image" -}}
{{- with .Values.image }}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "order-food.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "order-food.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* The passwords and the key that the values hold and the pods use, as the data of the chart's own Secret. */}}
{{- define "order-food.secretData" -}}
{{- $data := dict }}
{{- with .Values.database }}
{{- if not .existingSecret }}
{{- $roles := list .api }}
{{- if $.Values.initContainers.databaseMigration.enabled }}
{{- $roles = append $roles .migration }}
{{- end }}
{{- if $.Values.initContainers.databaseLoad.enabled }}
{{- $roles = append $roles .load }}
{{- end }}
{{- range $roles }}
{{- if ne (get $data .passwordKey | default .password) .password }}
{{- fail (printf "database: two passwords have the passwordKey %s" .passwordKey) }}
{{- end }}
{{- $_ := set $data .passwordKey .password }}
{{- end }}
{{- end }}
{{- end }}
{{- if not .Values.apiKey.existingSecret }}
{{- $_ := set $data .Values.apiKey.key .Values.apiKey.value }}
{{- end }}
{{- toYaml $data }}
{{- end }}

{{/* Name of the ConfigMap of a set of files: what the values name, or one named by its content. */}}
{{- define "order-food.configMapName" -}}
{{- $set := get .context.Values .name }}
{{- if $set.configMap }}
{{- $set.configMap }}
{{- else if $set.files }}
{{- printf "%s-%s-%s" (include "order-food.fullname" .context) .name (toJson $set.files | sha256sum | trunc 10) }}
{{- end }}
{{- end }}

{{- define "order-food.migrationsConfigMap" -}}
{{- include "order-food.configMapName" (dict "context" . "name" "migrations") }}
{{- end }}

{{- define "order-food.dataConfigMap" -}}
{{- include "order-food.configMapName" (dict "context" . "name" "data") }}
{{- end }}

{{/* The variables of every program: `context`, `container`, and `role`, a part of the value `database`. */}}
{{- define "order-food.commonEnvironment" -}}
{{- with .context.Values.database }}
- name: DB_HOST
  value: {{ .host | quote }}
- name: DB_PORT
  value: {{ .port | quote }}
- name: DB_NAME
  value: {{ .name | quote }}
- name: DB_USER
  value: {{ $.role.user | quote }}
- name: DB_PASSWORD_FILE
  value: /run/secrets/database/password
- name: DB_SSLMODE
  value: {{ .sslmode | quote }}
{{- if .sslRootCertSecret.name }}
- name: DB_SSLROOTCERT
  value: /run/secrets/database-ca/ca.crt
{{- end }}
{{- end }}
- name: DB_WAIT_TIMEOUT
  value: {{ printf "%ds" (int .context.Values.timeouts.databaseWaitSeconds) }}
{{- with .context.Values.telemetry.endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- end }}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_UID
  valueFrom: {fieldRef: {fieldPath: metadata.uid}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: NODE_NAME
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: {{ list
    "k8s.namespace.name=$(POD_NAMESPACE)"
    "k8s.node.name=$(NODE_NAME)"
    "k8s.pod.name=$(POD_NAME)"
    "k8s.pod.uid=$(POD_UID)"
    (printf "k8s.container.name=%s" .container)
    (printf "k8s.deployment.name=%s" (include "order-food.fullname" .context)) | join "," }}
{{- end }}

{{/* Variables that the values give but may not: a password beside an existing Secret. */}}
{{- define "order-food.withheldVariables" -}}
{{- $names := list }}
{{- if .Values.database.existingSecret }}
{{- $names = concat $names (list "DB_PASSWORD" "DB_PASSWORD_FILE" "DATABASE_URL") }}
{{- end }}
{{- if .Values.apiKey.existingSecret }}
{{- $names = concat $names (list "API_KEY" "API_KEY_FILE") }}
{{- end }}
{{- toJson $names }}
{{- end }}

{{/*
Merges `given` into `own`, both YAML lists of variables, by name: own ones that are not given, given ones in their
order, and last OTEL_RESOURCE_ATTRIBUTES, since a reference like $(POD_NAME) must come after what it refers to.
*/}}
{{- define "order-food.environment" -}}
{{- $withheld := include "order-food.withheldVariables" .context | fromJsonArray }}
{{- /* A variable on the left gives way to itself or to the one on the right, which means the same. */}}
{{- $synonyms := dict "DB_USER" "DB_USERNAME" "DB_PASSWORD_FILE" "DB_PASSWORD" "API_KEY_FILE" "API_KEY" }}
{{- $given := list }}
{{- $names := list }}
{{- range .given }}
{{- if has .name $names }}
{{- fail (printf "%s: env names %s twice" $.container .name) }}
{{- end }}
{{- if not (has .name $withheld) }}
{{- $names = append $names .name }}
{{- if hasKey . "value" }}
{{- /* Numbers arrive as floating-point ones. */}}
{{- $value := kindIs "float64" .value | ternary (toJson .value) (toString .value) }}
{{- $given = append $given (dict "name" .name "value" $value) }}
{{- else }}
{{- $given = append $given . }}
{{- end }}
{{- end }}
{{- end }}
{{- $first := list }}
{{- $last := list }}
{{- range .own | fromYamlArray }}
{{- if not (or (has .name $names) (has (get $synonyms .name) $names)) }}
{{- if eq .name "OTEL_RESOURCE_ATTRIBUTES" }}
{{- $last = append $last . }}
{{- else }}
{{- $first = append $first . }}
{{- end }}
{{- end }}
{{- end }}
{{- concat $first $given $last | toYaml }}
{{- end }}

{{- define "order-food.databaseVolumeMounts" -}}
- name: {{ .password }}
  mountPath: /run/secrets/database
  readOnly: true
{{- if .context.Values.database.sslRootCertSecret.name }}
- name: database-ca
  mountPath: /run/secrets/database-ca
  readOnly: true
{{- end }}
{{- end }}

{{- define "order-food.pods" -}}
{{- ternary .Values.autoscaling.minReplicas .Values.replicaCount .Values.autoscaling.enabled }}
{{- end }}

{{/* The port of the OTLP endpoint, for the NetworkPolicy. */}}
{{- define "order-food.telemetryPort" -}}
{{- $url := urlParse .Values.telemetry.endpoint }}
{{- $port := regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) }}
{{- $port | default (ternary "443" "80" (eq $url.scheme "https")) }}
{{- end }}

{{/* Checks of kube-score and checkov that do not fit, each with its reason. */}}
{{- define "order-food.policyExceptions" -}}
# An image that was loaded into the cluster cannot be pulled; no tag is used twice.
kube-score/ignore: container-image-pull-policy
checkov.io/skip1: CKV_K8S_15=An image that was loaded into the cluster cannot be pulled; no tag is used twice
{{- if not .Values.image.digest }}
checkov.io/skip2: CKV_K8S_43=image.digest sets a digest, which an image that was built here does not have
{{- end }}
{{- end }}
