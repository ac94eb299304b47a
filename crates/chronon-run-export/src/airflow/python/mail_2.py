

def mail(args):
    """Task arguments that tell `emails` of a failure."""
    emails = args.pop("emails", [])
    if emails:
        args.update(email=emails, email_on_failure=True, email_on_retry=False)
    return args
