{{- define "order-food.migrationEnvironment" -}}
{{- include "order-food.commonEnvironment" (dict
    "context" . "container" "database-migration" "role" .Values.database.migration) }}
- name: MIGRATION_LOCK_RETRY
  value: {{ printf "%ds" (int .Values.timeouts.migrationLockRetrySeconds) }}
{{- if include "order-food.migrationsConfigMap" . }}
- name: MIGRATIONS_DIR
  value: /etc/order-food/migrations
{{- end }}
{{- end }}

{{- define "order-food.loadEnvironment" -}}
{{- include "order-food.commonEnvironment" (dict
    "context" . "container" "database-load" "role" .Values.database.load) }}
- name: LOAD_LOCK_TIMEOUT
  value: {{ printf "%ds" (int .Values.timeouts.loadLockSeconds) }}
{{- /* What the kubelet keeps as the container's termination message. */}}
- name: LOAD_REPORT
  value: /dev/termination-log
- name: LOAD_WORK_DIR
  value: /work
{{- if include "order-food.dataConfigMap" . }}
- name: DATA_DIR
  value: /etc/order-food/data
{{- end }}
{{- end }}

{{- define "order-food.apiEnvironment" -}}
{{- include "order-food.commonEnvironment" (dict
    "context" . "container" "order-food" "role" .Values.database.api) }}
- name: API_KEY_FILE
  value: /run/secrets/api-key/api-key
- name: DRAIN_TIMEOUT
  value: {{ printf "%ds" (int .Values.timeouts.drainSeconds) }}
{{- end }}
