"""Python's smtplib does what a JSON object on stdin asks for, and what it was told is printed as JSON."""
import json
import smtplib
import ssl
import sys

job = json.load(sys.stdin)
told = {}
try:
    if job.get('tls') == 'implicit':
        context = ssl.create_default_context(cafile=job['ca'])
        client = smtplib.SMTP_SSL('localhost', job['port'], 'python.example.org', timeout=20, context=context)
    else:
        client = smtplib.SMTP('localhost', job['port'], 'python.example.org', timeout=20)
    if job.get('tls') == 'starttls':
        client.starttls(context=ssl.create_default_context(cafile=job['ca']))
    if 'mechanism' in job:
        client.ehlo_or_helo_if_needed()
        client.user, client.password = 'ann', job['password']
        object_of = getattr(client, 'auth_' + job['mechanism'].lower().replace('-', '_'))
        client.auth(job['mechanism'], object_of, initial_response_ok=job['initialResponse'])
    options = job.get('options', [])
    message = job['message'].encode('utf-8')
    told['refused'] = client.sendmail('ann@example.net', job['to'], message, mail_options=options)
    client.quit()
except smtplib.SMTPRecipientsRefused as error:
    told['error'] = 'SMTPRecipientsRefused'
    told['refused'] = error.recipients
except smtplib.SMTPResponseException as error:
    told['error'] = type(error).__name__
    told['code'] = error.smtp_code
for name, (code, text) in told.get('refused', {}).items():
    told['refused'][name] = f'{code} {text.decode()}'
json.dump(told, sys.stdout)
