

def mail(args):
    """Task arguments that tell `emails` of a failure, by the connection `smtp_default`."""
    emails = args.pop("emails", [])
    if emails:
        from airflow.providers.smtp.notifications.smtp import SmtpNotifier

        args["on_failure_callback"] = SmtpNotifier(to=emails)
    return args
