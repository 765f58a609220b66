{{- define "database-load.fullname" -}}
{{- $name := .Values.fullnameOverride }}
{{- if not $name }}
{{- $name = ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name) }}
{{- end }}
{{- /* A CronJob's name has at most 52 characters, since its Jobs' names add 11. */}}
{{- $name | trunc 52 | trimSuffix "-" }}
{{- end }}

{{/* Selectors are immutable: nothing may be added here. */}}
{{- define "database-load.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "database-load.commonLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: order-food
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "database-load.chartLabel" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Labels of pods: without the chart's version, which alone is no reason to restart them. */}}
{{- define "database-load.podLabels" -}}
{{ include "database-load.selectorLabels" . }}
{{ include "database-load.commonLabels" . }}
{{- end }}

{{- define "database-load.labels" -}}
{{ include "database-load.podLabels" . }}
{{ include "database-load.chartLabel" . }}
{{- end }}

{{/* The pod of `helm test` has a name of its own, so that `kubectl logs -l` finds only scheduled runs. */}}
{{- define "database-load.testSelectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "database-load.testLabels" -}}
{{ include "database-load.testSelectorLabels" . }}
{{ include "database-load.commonLabels" . }}
{{ include "database-load.chartLabel" . }}
{{- end }}

{{- define "database-load.image" -}}
{{- with .Values.image }}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "database-load.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "database-load.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* The volume source of the data, empty for that of the image. */}}
{{- define "database-load.dataVolume" -}}
{{- $volumes := list }}
{{- with .Values.data }}
{{- if .configMap }}
{{- $volumes = append $volumes (dict "configMap" (dict "name" .configMap)) }}
{{- end }}
{{- if .files }}
{{- $name := printf "%s-data" (include "database-load.fullname" $) }}
{{- $volumes = append $volumes (dict "configMap" (dict "name" $name)) }}
{{- end }}
{{- if .existingClaim }}
{{- $volumes = append $volumes (dict "persistentVolumeClaim" (dict "claimName" .existingClaim "readOnly" true)) }}
{{- end }}
{{- end }}
{{- if gt (len $volumes) 1 }}
{{- fail "data: set one of configMap, files and existingClaim" }}
{{- end }}
{{- first $volumes | default dict | toYaml }}
{{- end }}

{{- define "database-load.ownEnvironment" -}}
{{- with .Values.database }}
- name: DB_HOST
  value: {{ .host | quote }}
- name: DB_PORT
  value: {{ .port | quote }}
- name: DB_NAME
  value: {{ .name | quote }}
- name: DB_USER
  value: {{ .load.user | quote }}
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
  value: {{ printf "%ds" (int .Values.timeouts.databaseWaitSeconds) }}
- name: LOAD_LOCK_TIMEOUT
  value: {{ printf "%ds" (int .Values.timeouts.loadLockSeconds) }}
- name: LOAD_IF_RUNNING
  value: {{ .Values.ifRunning }}
{{- /* What the kubelet keeps as the container's termination message. */}}
- name: LOAD_REPORT
  value: /dev/termination-log
- name: LOAD_WORK_DIR
  value: /work
{{- if include "database-load.dataVolume" . | fromYaml }}
- name: DATA_DIR
  value: /etc/order-food/data
{{- end }}
{{- with .Values.telemetry.endpoint }}
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
    (printf "k8s.container.name=%s" "database-load")
    (printf "k8s.cronjob.name=%s" (include "database-load.fullname" .)) | join "," }}
{{- end }}

{{/* Variables that the values give but may not: a password beside an existing Secret. */}}
{{- define "database-load.withheldVariables" -}}
{{- $names := list }}
{{- if .Values.database.existingSecret }}
{{- $names = concat $names (list "DB_PASSWORD" "DB_PASSWORD_FILE" "DATABASE_URL") }}
{{- end }}
{{- toJson $names }}
{{- end }}

{{/*
Merges the value `env` into the chart's own variables by name: own ones that are not given, given ones in their
order, and last OTEL_RESOURCE_ATTRIBUTES, since a reference like $(POD_NAME) must come after what it refers to.
*/}}
{{- define "database-load.environment" -}}
{{- $withheld := include "database-load.withheldVariables" . | fromJsonArray }}
{{- /* A variable on the left gives way to itself or to the one on the right, which means the same. */}}
{{- $synonyms := dict "DB_USER" "DB_USERNAME" "DB_PASSWORD_FILE" "DB_PASSWORD" }}
{{- $given := list }}
{{- $names := list }}
{{- range .Values.env }}
{{- if has .name $names }}
{{- fail (printf "env names %s twice" .name) }}
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
{{- range include "database-load.ownEnvironment" . | fromYamlArray }}
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

{{/* The port of the OTLP endpoint, for the NetworkPolicy. */}}
{{- define "database-load.telemetryPort" -}}
{{- $url := urlParse .Values.telemetry.endpoint }}
{{- $port := regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) }}
{{- $port | default (ternary "443" "80" (eq $url.scheme "https")) }}
{{- end }}

{{/* Checks of kube-score and checkov that do not fit, each with its reason. */}}
{{- define "database-load.policyExceptions" -}}
# An image that was loaded into the cluster cannot be pulled; no tag is used twice.
kube-score/ignore: container-image-pull-policy
checkov.io/skip1: CKV_K8S_15=An image that was loaded into the cluster cannot be pulled; no tag is used twice
{{- if not .Values.image.digest }}
checkov.io/skip2: CKV_K8S_43=image.digest sets a digest, which an image that was built here does not have
{{- end }}
{{- end }}
