"""eigenfall"""
