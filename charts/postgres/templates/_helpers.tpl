{{- define "postgres.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 45 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 45 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 45 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What never changes: a Deployment's selector is immutable. */}}
{{- define "postgres.selectorLabels" -}}
app.kubernetes.io/name: postgres
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of an object; of another component with (dict "context" $ "component" "backup"). */}}
{{- define "postgres.labels" -}}
{{- include "postgres.selectorLabels" . }}
{{ include "postgres.commonLabels" . }}
{{- end -}}

{{- define "postgres.commonLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: order-food
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* Name of an image: (dict "image" .Values.image "tag" "used without one of its own"). */}}
{{- define "postgres.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (.image.tag | default .tag) -}}
{{- end -}}
{{- end -}}

{{- define "postgres.serverImage" -}}
{{- $major := regexFind "^[0-9]+" (toString .Values.image.tag) -}}
{{- if and $major (ge (atoi $major) 18) -}}
{{- $reason := "images of PostgreSQL 18 and newer keep their data elsewhere, where this chart mounts no volume" -}}
{{- fail (printf "image.tag %s: %s; take version 17 or older" .Values.image.tag $reason) -}}
{{- end -}}
{{- include "postgres.image" (dict "image" .Values.image) -}}
{{- end -}}

{{- define "postgres.secretName" -}}
{{- .Values.auth.existingSecret | default (include "postgres.fullname" .) -}}
{{- end -}}

{{- define "postgres.tlsSecretName" -}}
{{- .Values.tls.existingSecret | default (printf "%s-tls" (include "postgres.fullname" .)) -}}
{{- end -}}

{{- define "postgres.claimName" -}}
{{- .Values.persistence.existingClaim | default (printf "%s-pvc" (include "postgres.fullname" .)) -}}
{{- end -}}

{{- define "postgres.backupClaimName" -}}
{{- .Values.backup.persistence.existingClaim | default (printf "%s-backup" (include "postgres.fullname" .)) -}}
{{- end -}}

{{/* The roles that exist, as YAML: what each is called, and the password that the user gave. */}}
{{- define "postgres.roles" -}}
superuser:
  name: {{ .Values.postgres.user | quote }}
  password: {{ .Values.postgres.password | quote }}
{{- if .Values.roles.enabled }}
{{- range $role := list "owner" "loader" "api" "reader" }}
{{ $role }}: {{ index $.Values.roles $role | toJson }}
{{- end }}
{{- end }}
{{- if .Values.metrics.enabled }}
exporter: {{ .Values.metrics.role | toJson }}
{{- end }}
{{- if .Values.backup.enabled }}
backup: {{ .Values.backup.role | toJson }}
{{- end }}
{{- end -}}

{{/* The passwords that the user gave, as YAML; under auth.generate, the development password counts as none. */}}
{{- define "postgres.givenPasswords" -}}
{{- range $role, $settings := include "postgres.roles" . | fromYaml }}
{{- $given := $settings.password }}
{{- if and $.Values.auth.generate (eq $given "postgres") }}{{ $given = "" }}{{ end }}
{{- if not $.Values.auth.generate }}{{ $given = $given | default $.Values.postgres.password }}{{ end }}
{{- if $given }}
{{ $role }}: {{ $given | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "postgres.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 70
runAsGroup: 70
fsGroup: 70
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "postgres.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop:
    - ALL
{{- end -}}

{{/* Where a pod may run. */}}
{{- define "postgres.placement" -}}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Content of the ConfigMap: the server's access rules, and the scripts of the pods. */}}
{{- define "postgres.configuration" -}}
pg_hba.conf: |
  # Who is in the container is trusted; who comes over the network shows a password.
  local all all trust
  {{ eq .Values.postgres.sslmode "require" | ternary "hostssl" "host" }} all all all scram-sha-256
{{- range $name := list "start.sh" "initialise.sh" "role.sql" "database.sql" "grants.sql" }}
{{ $name }}: |
  {{- $.Files.Get (printf "files/%s" $name) | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Selects the pods of this release that connect to the server. */}}
{{- define "postgres.ownClients" -}}
matchLabels:
  app.kubernetes.io/instance: {{ .Release.Name }}
matchExpressions:
  - key: app.kubernetes.io/name
    operator: In
    values: [postgres-backup, postgres-test]
{{- end -}}

{{/* Reasoned exceptions of every image, as annotations for checkov. */}}
{{- define "postgres.imageExceptions" -}}
checkov.io/skip2: CKV_K8S_43=pinned by image.digest, which only the one who deploys can know
checkov.io/skip3: CKV_K8S_15=pulled when missing, since a cluster on a laptop has the image loaded
{{- end -}}

{{/* What helm uninstall leaves under persistence.keep, and deletes without, as arguments of kubectl. */}}
{{- define "postgres.keepable" -}}
{{- $objects := list -}}
{{- if and .Values.persistence.enabled (not .Values.persistence.existingClaim) -}}
{{- $objects = append $objects (printf "pvc/%s" (include "postgres.claimName" .)) -}}
{{- end -}}
{{- if and .Values.backup.enabled (not .Values.backup.persistence.existingClaim) -}}
{{- $objects = append $objects (printf "pvc/%s" (include "postgres.backupClaimName" .)) -}}
{{- end -}}
{{- if not .Values.auth.existingSecret -}}
{{- $objects = append $objects (printf "secret/%s" (include "postgres.secretName" .)) -}}
{{- end -}}
{{- if and (eq .Values.postgres.sslmode "require") (not .Values.tls.existingSecret) -}}
{{- $objects = append $objects (printf "secret/%s" (include "postgres.tlsSecretName" .)) -}}
{{- end -}}
{{- join " " $objects -}}
{{- end -}}

{{/* The roles whose password is the development password. */}}
{{- define "postgres.developmentRoles" -}}
{{- $roles := list -}}
{{- if not .Values.auth.existingSecret -}}
{{- range $role, $password := include "postgres.givenPasswords" . | fromYaml -}}
{{- if eq $password "postgres" -}}{{- $roles = append $roles $role -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- join ", " $roles -}}
{{- end -}}

{{/* A hash of the passwords that the user gave, never of generated ones; slow and salted, so that it betrays none. */}}
{{- define "postgres.passwordChecksum" -}}
{{- derivePassword 1 "maximum" (include "postgres.givenPasswords" .) .Release.Name .Release.Namespace | sha256sum -}}
{{- end -}}
