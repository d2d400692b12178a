"""A static site: a private bucket that only one CloudFront distribution reads, in a stack of its own in us-east-1.

CloudFront takes certificates, and reports metrics, in us-east-1 only, so that is where all of it is made: one stack
instead of two that have to agree. The bucket's region is where the files rest, not from where they are served.
"""

from __future__ import annotations

import re
from typing import Any, Final

from troposphere import (
    AccountId,
    GetAtt,
    Output,
    Parameter,
    Ref,
    Sub,
    Template,
    certificatemanager,
    cloudfront,
    route53,
    s3,
)

from holdfast.deploy.core.plan import Placement, Plan
from holdfast.deploy.errors import Invalid
from holdfast.deploy.shell.template.names import logical_id
from holdfast.deploy.shell.template.stack import Stack

REGION: Final = "us-east-1"
OPTIMIZED: Final = "658327ea-f89d-4fab-a63d-7e88639e58f6"
"""``Managed-CachingOptimized``: gzip and Brotli, a day unless the file says otherwise, no cookies, no query."""
ALIAS_ZONE: Final = "Z2FDTNDATAQYW2"
"""Hosted zone of every CloudFront distribution, for alias records."""
HSTS_S: Final = 31_536_000
"""A year."""
OLD_DAYS: Final = 30
"""Versions of a file that were replaced are kept so long."""
POLICY: Final = (
    "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of a site that loads nothing from elsewhere."""
INDEX: Final = """\
function handler(event) {
  var request = event.request;
  var last = request.uri.substring(request.uri.lastIndexOf('/') + 1);
  if (last === '') {
    request.uri += 'index.html';
  } else if (last.indexOf('.') === -1) {
    var here = '/' + request.uri.replace(/^[\\/\\\\]+/, '') + '/';
    return {statusCode: 301, statusDescription: 'Moved Permanently', headers: {location: {value: here}}};
  }
  return request;
}
"""
"""Directories have an index: with access control CloudFront asks S3's API, which knows files only.

``//example.com/x`` is a path here and would be another host in a redirection, so that begins with exactly one slash.
"""
_ZONE: Final = re.compile(r"Z[A-Z0-9]{1,31}")
_IN_REGION: Final = re.compile(r"arn:aws[a-z-]*:acm:us-east-1:")


def site_stack(plan: Plan, placement: Placement) -> Stack:
    """The stack of one site.

    With ``template.domain`` it is served as ``NAME.DOMAIN`` under a certificate that is made and validated through
    ``template.hosted_zone``, or under ``template.certificate`` if that is one of us-east-1. Raises :class:`Invalid` for
    a domain with neither.
    """
    settings = plan.settings.template
    name = placement.name
    stack = Stack(
        name=f"{settings.name}-{name}",
        region=REGION,
        summary=f"{name}: a private bucket behind CloudFront",
        template=Template(Description=f"{settings.name}: the site {name}, a private bucket behind CloudFront"),
        plan=plan,
    )
    stack.template.set_version("2010-09-09")
    bucket = _bucket(stack)
    distribution = _distribution(stack, name, bucket)
    _readable(stack, bucket, distribution)
    outputs = {
        "BucketName": (Ref(bucket), "Where the built files go."),
        "DistributionId": (Ref(distribution), "What is invalidated after files were copied."),
        "SiteAddress": (Sub("https://${Name}", Name=GetAtt(distribution, "DomainName")), "Where it is served."),
    }
    for title, (value, about) in outputs.items():
        stack.template.add_output(Output(title, Value=value, Description=about))
    return stack


def _bucket(stack: Stack) -> Any:
    policy = "Retain" if stack.plan.settings.template.protect else "Delete"
    return stack.template.add_resource(
        s3.Bucket(
            "Files",
            BucketEncryption=s3.BucketEncryption(
                ServerSideEncryptionConfiguration=[
                    s3.ServerSideEncryptionRule(
                        ServerSideEncryptionByDefault=s3.ServerSideEncryptionByDefault(SSEAlgorithm="AES256")
                    )
                ]
            ),
            OwnershipControls=s3.OwnershipControls(
                Rules=[s3.OwnershipControlsRule(ObjectOwnership="BucketOwnerEnforced")]
            ),
            PublicAccessBlockConfiguration=s3.PublicAccessBlockConfiguration(
                BlockPublicAcls=True, BlockPublicPolicy=True, IgnorePublicAcls=True, RestrictPublicBuckets=True
            ),
            VersioningConfiguration=s3.VersioningConfiguration(Status="Enabled"),
            LifecycleConfiguration=s3.LifecycleConfiguration(
                Rules=[
                    s3.LifecycleRule(
                        Id="old-versions",
                        Status="Enabled",
                        NoncurrentVersionExpiration=s3.NoncurrentVersionExpiration(NoncurrentDays=OLD_DAYS),
                        AbortIncompleteMultipartUpload=s3.AbortIncompleteMultipartUpload(DaysAfterInitiation=7),
                    )
                ]
            ),
            DeletionPolicy=policy,
            UpdateReplacePolicy=policy,
        )
    )


def _readable(stack: Stack, bucket: Any, distribution: Any) -> None:
    """CloudFront may read, on behalf of this distribution only; and nobody comes without TLS."""
    files = Sub("${Bucket}/*", Bucket=GetAtt(bucket, "Arn"))
    arn = Sub("arn:${AWS::Partition}:cloudfront::${AWS::AccountId}:distribution/${Id}", Id=Ref(distribution))
    statements = [
        {
            "Sid": "Distribution",
            "Effect": "Allow",
            "Principal": {"Service": "cloudfront.amazonaws.com"},
            "Action": "s3:GetObject",
            "Resource": files,
            "Condition": {"StringEquals": {"aws:SourceArn": arn, "aws:SourceAccount": AccountId}},
        },
        {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [GetAtt(bucket, "Arn"), files],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
    ]
    stack.template.add_resource(
        s3.BucketPolicy(
            "FilesPolicy", Bucket=Ref(bucket), PolicyDocument={"Version": "2012-10-17", "Statement": statements}
        )
    )


def _distribution(stack: Stack, name: str, bucket: Any) -> Any:
    template, settings = stack.template, stack.plan.settings.template
    access = template.add_resource(
        cloudfront.OriginAccessControl(
            "Access",
            OriginAccessControlConfig=cloudfront.OriginAccessControlConfig(
                Name=Sub("${AWS::StackName}-access"),
                OriginAccessControlOriginType="s3",
                SigningBehavior="always",
                SigningProtocol="sigv4",
            ),
        )
    )
    index = template.add_resource(
        cloudfront.Function(
            "Index",
            Name=Sub("${AWS::StackName}-index"),
            AutoPublish=True,
            FunctionCode=INDEX,
            FunctionConfig=cloudfront.FunctionConfig(Comment="index.html of a directory", Runtime="cloudfront-js-2.0"),
        )
    )
    headers = _headers(stack)
    domain = f"{name}.{settings.domain}" if settings.domain else ""
    named: dict[str, Any] = {}
    if domain:
        named = {
            "Aliases": [domain],
            "ViewerCertificate": cloudfront.ViewerCertificate(
                AcmCertificateArn=_certificate(stack, domain),
                SslSupportMethod="sni-only",
                MinimumProtocolVersion="TLSv1.2_2021",
            ),
        }
    distribution = template.add_resource(
        cloudfront.Distribution(
            "Distribution",
            DistributionConfig=cloudfront.DistributionConfig(
                Comment=f"{settings.name}: {name}",
                Enabled=True,
                DefaultRootObject="index.html",
                HttpVersion="http2and3",
                IPV6Enabled=True,
                PriceClass="PriceClass_100",
                Origins=[
                    cloudfront.Origin(
                        Id="files",
                        DomainName=GetAtt(bucket, "RegionalDomainName"),
                        OriginAccessControlId=GetAtt(access, "Id"),
                        S3OriginConfig=cloudfront.S3OriginConfig(OriginAccessIdentity=""),
                    )
                ],
                DefaultCacheBehavior=cloudfront.DefaultCacheBehavior(
                    TargetOriginId="files",
                    ViewerProtocolPolicy="redirect-to-https",
                    AllowedMethods=["GET", "HEAD"],
                    CachedMethods=["GET", "HEAD"],
                    Compress=True,
                    CachePolicyId=OPTIMIZED,
                    ResponseHeadersPolicyId=Ref(headers),
                    FunctionAssociations=[
                        cloudfront.FunctionAssociation(
                            EventType="viewer-request", FunctionARN=GetAtt(index, "FunctionARN")
                        )
                    ],
                ),
                # S3 answers 403, not 404, to somebody who may not list; to a reader both mean that it is not there.
                CustomErrorResponses=[
                    cloudfront.CustomErrorResponse(
                        ErrorCode=code, ResponseCode=404, ResponsePagePath="/404.html", ErrorCachingMinTTL=60
                    )
                    for code in (403, 404)
                ],
                **named,
            ),
        )
    )
    if domain and settings.hosted_zone:
        for kind in ("A", "AAAA"):
            template.add_resource(
                route53.RecordSetType(
                    logical_id("address", kind),
                    HostedZoneId=_zone(settings.hosted_zone),
                    Name=domain,
                    Type=kind,
                    AliasTarget=route53.AliasTarget(
                        HostedZoneId=ALIAS_ZONE, DNSName=GetAtt(distribution, "DomainName"), EvaluateTargetHealth=False
                    ),
                )
            )
    return distribution


def _headers(stack: Stack) -> Any:
    policy = stack.template.add_parameter(
        Parameter(
            "ContentSecurityPolicy",
            Type="String",
            Default=POLICY,
            Description="What pages may load. The default: from the site itself only, and no inline code.",
        )
    )
    return stack.template.add_resource(
        cloudfront.ResponseHeadersPolicy(
            "Headers",
            ResponseHeadersPolicyConfig=cloudfront.ResponseHeadersPolicyConfig(
                Name=Sub("${AWS::StackName}-headers"),
                SecurityHeadersConfig=cloudfront.SecurityHeadersConfig(
                    ContentSecurityPolicy=cloudfront.ContentSecurityPolicy(
                        ContentSecurityPolicy=Ref(policy), Override=True
                    ),
                    ContentTypeOptions=cloudfront.ContentTypeOptions(Override=True),
                    FrameOptions=cloudfront.FrameOptions(FrameOption="DENY", Override=True),
                    ReferrerPolicy=cloudfront.ReferrerPolicy(
                        ReferrerPolicy="strict-origin-when-cross-origin", Override=True
                    ),
                    StrictTransportSecurity=cloudfront.StrictTransportSecurity(
                        AccessControlMaxAgeSec=HSTS_S, IncludeSubdomains=True, Override=True
                    ),
                ),
            ),
        )
    )


def _certificate(stack: Stack, domain: str) -> Any:
    settings = stack.plan.settings.template
    if _IN_REGION.match(settings.certificate):
        return settings.certificate
    if not settings.hosted_zone:
        raise Invalid(
            f"deploy.template: {domain} needs a certificate of {REGION}; give hosted_zone, so that one can be made and "
            f"validated, or a certificate of that region (CloudFront takes no other)"
        )
    return Ref(
        stack.template.add_resource(
            certificatemanager.Certificate(
                "Certificate",
                DomainName=domain,
                ValidationMethod="DNS",
                DomainValidationOptions=[
                    certificatemanager.DomainValidationOption(
                        DomainName=domain, HostedZoneId=_zone(settings.hosted_zone)
                    )
                ],
            )
        )
    )


def _zone(zone: str) -> str:
    if not _ZONE.fullmatch(zone):
        raise Invalid(
            f"deploy.template.hosted_zone: {zone!r} is not the id of a zone (Z0123456789ABC); "
            "`aws route53 list-hosted-zones` lists them"
        )
    return zone
