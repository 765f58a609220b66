{{/* The spec of a pod that loads once, for the CronJob and for `helm test`. */}}
{{- define "database-load.podSpec" -}}
restartPolicy: Never
serviceAccountName: {{ include "database-load.fullname" . }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- include "database-load.podSecurityContext" . | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
containers:
  - name: database-load
    image: {{ include "database-load.image" . }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    command: [/usr/local/bin/database-load]
    env:
      {{- include "database-load.environment" . | nindent 6 }}
    resources:
      {{- toYaml .Values.resources | nindent 6 }}
    securityContext:
      {{- include "database-load.containerSecurityContext" . | nindent 6 }}
    volumeMounts:
      - name: password
        mountPath: /run/secrets/database
        readOnly: true
      - name: work
        mountPath: /work
      {{- if .Values.database.sslRootCertSecret.name }}
      - name: database-ca
        mountPath: /run/secrets/database-ca
        readOnly: true
      {{- end }}
      {{- if include "database-load.dataVolume" . | fromYaml }}
      - name: data
        mountPath: /etc/order-food/data
        readOnly: true
      {{- end }}
volumes:
  - name: password
    secret:
      secretName: {{ .Values.database.existingSecret | default (include "database-load.fullname" .) }}
      defaultMode: 0440
      items:
        - key: {{ .Values.database.load.passwordKey }}
          path: password
  - name: work
    emptyDir:
      sizeLimit: {{ .Values.work.sizeLimit }}
  {{- with .Values.database.sslRootCertSecret }}
  {{- if .name }}
  - name: database-ca
    secret:
      secretName: {{ .name }}
      defaultMode: 0440
      items:
        - key: {{ .key }}
          path: ca.crt
  {{- end }}
  {{- end }}
  {{- with include "database-load.dataVolume" . | fromYaml }}
  - name: data
    {{- toYaml . | nindent 4 }}
  {{- end }}
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
{{- end }}
