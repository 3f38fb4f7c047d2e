"""What a mini-program proves to its platform who it is with."""

from django.db import models

from consent.programs.models import MiniProgram


class PlatformCredential(models.Model):
    """`sealed`: JSON with `secret` and, of Alipay, `platform_key`; under the keyring's key, since no subject's key is its own."""

    program = models.OneToOneField(MiniProgram, models.PROTECT, primary_key=True)
    sealed = models.BinaryField()

    class Meta:
        db_table = "platform_credential"
